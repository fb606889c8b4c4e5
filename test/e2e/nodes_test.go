package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// standIn does what the controllers and the nodes of a real cluster would do, as far as Argo CD waits for it: Deployments
// become available, Jobs complete, and what is deleted in the foreground goes.
func (w *world) standIn() {
	w.t.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	done := make(chan struct{})
	ended := make(chan struct{})
	w.t.Cleanup(func() {
		close(done)
		<-ended
	})
	go func() {
		defer close(ended)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				w.settle()
			}
		}
	}()
}

// repoServer is the Deployment of which a kubelet may run a container.
const repoServer = "argocd-repo-server"

// An object is what standIn looks at.
type object struct {
	Metadata struct {
		Name, Namespace   string
		Generation        int64
		DeletionTimestamp *time.Time
		Finalizers        []string
	}
	Spec struct {
		Replicas *int64
		Template struct {
			Spec struct {
				Containers []struct{ Name, Image string }
			}
		}
	}
	Status struct {
		ObservedGeneration int64
		Succeeded          int64
	}
}

func (w *world) settle() {
	c := w.cluster
	for _, kind := range []string{"deployments", "jobs"} {
		group := map[string]string{"deployments": "apps", "jobs": "batch"}[kind]
		var list struct{ Items []object }
		if c.get("/apis/"+group+"/v1/"+kind, &list) != nil {
			continue // the API server is going, or not there yet
		}
		for _, o := range list.Items {
			if o.Metadata.Name == repoServer && w.followed.Load() {
				continue // it is as far as its kubelet is
			}
			path := fmt.Sprintf("/apis/%s/v1/namespaces/%s/%s/%s", group, o.Metadata.Namespace, kind, o.Metadata.Name)
			_ = c.settleOne(path, kind, o) // tried again in a moment
		}
	}
}

func (c *cluster) settleOne(path, kind string, o object) error {
	switch {
	case o.Metadata.DeletionTimestamp != nil && slices.Contains(o.Metadata.Finalizers, "foregroundDeletion"):
		return c.patch(path, `{"metadata":{"finalizers":null}}`)
	case o.Metadata.DeletionTimestamp != nil:
		return nil
	case kind == "deployments" && o.Status.ObservedGeneration != o.Metadata.Generation:
		replicas := int64(1)
		if o.Spec.Replicas != nil {
			replicas = *o.Spec.Replicas
		}
		return c.status(path, map[string]any{
			"observedGeneration": o.Metadata.Generation, "replicas": replicas, "updatedReplicas": replicas,
			"readyReplicas": replicas, "availableReplicas": replicas,
			"conditions": []any{map[string]any{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}},
		})
	case kind == "jobs" && o.Status.Succeeded == 0:
		now := time.Now().UTC().Format(time.RFC3339)
		return c.status(path, map[string]any{
			"startTime": now, "completionTime": now, "succeeded": 1,
			"conditions": []any{
				map[string]any{"type": "SuccessCriteriaMet", "status": "True"}, map[string]any{"type": "Complete", "status": "True"},
			},
		})
	}
	return nil
}

func (c *cluster) status(path string, status any) error {
	body, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return err
	}
	return c.patch(path+"/status", string(body))
}

// deployedImage is the image of a Deployment's first container.
func (c *cluster) deployedImage(namespace, name string) (string, error) {
	var o object
	if err := c.get("/apis/apps/v1/namespaces/"+namespace+"/deployments/"+name, &o); err != nil {
		return "", err
	}
	if len(o.Spec.Template.Spec.Containers) == 0 {
		return "", errors.New("no containers")
	}
	return o.Spec.Template.Spec.Containers[0].Image, nil
}
