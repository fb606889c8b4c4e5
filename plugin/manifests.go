package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/argoproj/gitops-engine/pkg/utils/kube"
)

var errNoObjects = errors.New("rendered no objects, which would delete all that the application runs: check the chart's " +
	"conditions and the kustomization's resources; the operator can allow it (applications.allow-empty in tagpin.yaml)")

// splitManifests splits a stream of YAML documents exactly as argocd-cmp-server does with a command's output (runCommand cuts
// one line feed, generateManifest splits; cmpserver/plugin/plugin.go).
func splitManifests(stream []byte) ([]string, error) {
	manifests, err := kube.SplitYAMLToString(bytes.TrimSuffix(stream, []byte("\n")))
	if err != nil {
		return nil, fmt.Errorf("splitting the rendered manifests: %w", err)
	}
	return manifests, nil
}

// hasObject tells whether any manifest is more than an empty list, which Argo CD drops.
func hasObject(manifests []string) bool {
	for _, m := range manifests {
		var object map[string]json.RawMessage
		if json.Unmarshal([]byte(m), &object) != nil {
			return true // Argo CD says what is wrong with it
		}
		if items, list := object["items"]; !list || len(items) > len("null") || object["spec"] != nil {
			return true
		}
	}
	return false
}
