package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// The ports of the run: its network is its own, so all are free.
const (
	etcdPort       = "2379"
	etcdPeerPort   = "2380"
	apiserverPort  = "6443"
	redisPort      = "6379"
	repoServerPort = "8081" // the Service; the replicas listen below
	replicaPort    = "818"  // and a digit
	argocdPort     = "8080"
	hookPort       = "8083"
)

// token is the administrator's, for the API server.
const token = "e2e-administrator"

// A cluster is an API server with nothing behind it but etcd: no controller-manager, no scheduler, no nodes.
type cluster struct {
	client http.Client
	base   string
}

// errNotFound is the API server's 404.
var errNotFound = errors.New("not found")

// startCluster starts etcd and kube-apiserver and writes the kubeconfig of all that follows.
func (w *world) startCluster() {
	w.t.Helper()
	w.start("etcd", nil, "etcd", "--data-dir", filepath.Join(w.dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", "http://127.0.0.1:"+etcdPort, "--advertise-client-urls", "http://127.0.0.1:"+etcdPort,
		"--listen-peer-urls", "http://127.0.0.1:"+etcdPeerPort, "--initial-advertise-peer-urls", "http://127.0.0.1:"+etcdPeerPort,
		"--initial-cluster", "default=http://127.0.0.1:"+etcdPeerPort)
	w.write("tokens.csv", token+",admin,admin,system:masters\n")
	key := filepath.Join(os.Getenv(envInside), "front.key")
	server := w.start("kube-apiserver", nil, "kube-apiserver", "--etcd-servers", "http://127.0.0.1:"+etcdPort,
		"--bind-address", "127.0.0.1", "--advertise-address", "10.0.0.1", "--secure-port", apiserverPort, "--cert-dir", filepath.Join(w.dir, "apiserver"),
		"--token-auth-file", filepath.Join(w.dir, "tokens.csv"), "--authorization-mode", "RBAC",
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-signing-key-file", key, "--service-account-key-file", key,
		"--service-cluster-ip-range", "10.96.0.0/16", "--disable-admission-plugins", "ServiceAccount")
	w.cluster = &cluster{base: "https://127.0.0.1:" + apiserverPort}
	w.cluster.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // it makes its certificate itself, at each start
	server.ready(func() error {
		_, err := w.cluster.do(http.MethodGet, "/readyz", "", nil)
		return err
	})
	w.write("kubeconfig", fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: %s}}]
contexts: [{name: e2e, context: {cluster: e2e, user: admin, namespace: argocd}}]
current-context: e2e
`, w.cluster.base, token))
}

// do sends one request and returns the body.
func (c *cluster) do(method, path, contentType string, body []byte) ([]byte, error) {
	req, err := http.NewRequest(method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", contentType)
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", path, errNotFound)
	case resp.StatusCode >= http.StatusBadRequest:
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	return answer, nil
}

// get reads an object, or a list, into out.
func (c *cluster) get(path string, out any) error {
	b, err := c.do(http.MethodGet, path, "", nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, out)
}

// patch merges change into an object.
func (c *cluster) patch(path, change string) error {
	_, err := c.do(http.MethodPatch, path, "application/merge-patch+json", []byte(change))
	return err
}

// kubectl runs the real kubectl. A last argument with a line break is its standard input.
func (w *world) kubectl(args ...string) string {
	w.t.Helper()
	stdin := ""
	if last := args[len(args)-1]; strings.Contains(last, "\n") {
		args, stdin = args[:len(args)-1], last
	}
	out, err := w.tryWith(stdin, "kubectl", args...)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}
