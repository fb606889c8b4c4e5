package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/tagpin/tagpin/image"
)

// A parser finds the repository that a payload is about. registry is the host in the hook's URL; it may be empty, and wins.
// Errors repeat nothing of the payload.
type parser func(body []byte, registry string) (image.Image, error)

// parsers are by the last element of the URL's path.
func parsers() map[string]parser {
	return map[string]parser{"acr": parseACR, "dockerhub": parseDockerHub, "harbor": parseHarbor}
}

var (
	errNoRepository = errors.New("the payload names no repository: is this URL for another kind of registry?")
	errNoRegistry   = errors.New("the payload doesn't tell the registry's host: add &registry=<host> to the hook's URL")
)

// parseACR reads what all editions of Alibaba Cloud Container Registry send. It tells neither instance nor host: without
// registry it is taken for the personal edition of the region.
func parseACR(body []byte, registry string) (image.Image, error) {
	var p struct {
		PushData struct {
			Tag string `json:"tag"`
		} `json:"push_data"`
		Repository struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
			FullName  string `json:"repo_full_name"`
			Region    string `json:"region"`
		} `json:"repository"`
	}
	if err := decode(body, &p); err != nil {
		return image.Image{}, err
	}
	if p.PushData.Tag == "" {
		return image.Image{}, errors.New("the payload names no tag, so it is no push of an image")
	}
	name := p.Repository.FullName
	if name == "" && p.Repository.Namespace != "" && p.Repository.Name != "" {
		name = p.Repository.Namespace + "/" + p.Repository.Name
	}
	if registry == "" && p.Repository.Region != "" {
		registry = "registry." + p.Repository.Region + ".aliyuncs.com"
	}
	return checked(registry, name)
}

// parseDockerHub reads Docker Hub's payload.
func parseDockerHub(body []byte, registry string) (image.Image, error) {
	var p struct {
		Repository struct {
			RepoName string `json:"repo_name"`
		} `json:"repository"`
	}
	if err := decode(body, &p); err != nil {
		return image.Image{}, err
	}
	if registry == "" {
		registry = "docker.io"
	}
	return checked(registry, p.Repository.RepoName)
}

// parseHarbor reads Harbor's two payload formats, its own and CloudEvents. Of a proxy cache or a deletion, too: what changed
// is for the registry to say.
func parseHarbor(body []byte, registry string) (image.Image, error) {
	type data struct {
		Resources []struct {
			URL string `json:"resource_url"`
		} `json:"resources"`
		Repository struct {
			FullName string `json:"repo_full_name"`
		} `json:"repository"`
	}
	var p struct {
		EventData data `json:"event_data"`
		Data      data `json:"data"`
	}
	if err := decode(body, &p); err != nil {
		return image.Image{}, err
	}
	event := p.EventData
	if event.Repository.FullName == "" {
		event = p.Data
	}
	if registry == "" && len(event.Resources) > 0 {
		registry, _, _ = strings.Cut(event.Resources[0].URL, "/")
	}
	return checked(registry, event.Repository.FullName)
}

func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return errors.New("the body is not the JSON that this kind of registry sends") // the error would repeat parts of it
	}
	return nil
}

var (
	hostRE = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$`)
	// Capitals are in ACR's own example; no image reference can have them, so they only match nothing.
	pathRE = regexp.MustCompile(`^[A-Za-z0-9]+([._-]+[A-Za-z0-9]+)*(/[A-Za-z0-9]+([._-]+[A-Za-z0-9]+)*)*$`)
)

// The longest host name with a port, and the longest repository name, in bytes.
const (
	maxHost = 253 + 6
	maxPath = 255
)

func checked(registry, path string) (image.Image, error) {
	registry = strings.ToLower(registry)
	switch {
	case path == "":
		return image.Image{}, errNoRepository
	case registry == "":
		return image.Image{}, errNoRegistry
	case len(registry) > maxHost || !hostRE.MatchString(registry):
		return image.Image{}, fmt.Errorf("%w; what is there now is no host name", errNoRegistry)
	case len(path) > maxPath || !pathRE.MatchString(path):
		return image.Image{}, errors.New("the payload's repository is no name that a repository can have")
	}
	return image.Image{Registry: registry, Repository: path}, nil
}
