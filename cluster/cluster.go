// Package cluster reads Applications as they are in the cluster. Call Open, then Application. It needs the right to get
// applications.argoproj.io, and uses no other.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// timeout bounds one question.
	timeout = 10 * time.Second
	// perSecond is more than a fleet's updates after one push to a base image take, and little for an API server.
	perSecond = 50
)

// ErrNotFound means that there is no such Application.
var ErrNotFound = errors.New("there is no such Application in the cluster")

// A Client reads Applications. It is safe for concurrent use.
type Client struct {
	api    dynamic.Interface
	argocd string // Argo CD's own namespace
}

// Open takes a kubeconfig, or the pod's service account where that is empty. It asks nothing yet.
func Open(kubeconfig, argocdNamespace string) (*Client, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reaching the cluster: %w", err)
	}
	config.Timeout, config.QPS, config.Burst, config.UserAgent = timeout, perSecond, 2*perSecond, "tagpin"
	api, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("reaching the cluster: %w", err)
	}
	return &Client{api, argocdNamespace}, nil
}

// Application gives the JSON of one, by the name that Argo CD gives plugins: NAME, or NAMESPACE_NAME outside of Argo CD's own
// namespace.
func (c *Client) Application(ctx context.Context, name string) ([]byte, error) {
	namespace := c.argocd
	if before, after, ok := strings.Cut(name, "_"); ok { // no name in Kubernetes has an underscore
		namespace, name = before, after
	}
	applications := schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}
	app, err := c.api.Resource(applications).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, ErrNotFound
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return nil, fmt.Errorf("the cluster does not let tagpin read Applications of the namespace %s: it needs a role with get on applications.argoproj.io there", namespace)
	case err != nil:
		return nil, fmt.Errorf("asking the cluster about the Application: %w", plain(err))
	}
	return app.MarshalJSON()
}

// plain keeps what a server wrote out of what people see.
func plain(err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return fmt.Errorf("HTTP status %d", status.Status().Code)
	}
	return err
}
