package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

type profileFlags struct {
	socket  string
	seconds int
}

func newProfile() *cobra.Command {
	var f profileFlags
	cmd := &cobra.Command{
		Use:   "profile NAME",
		Short: "Print a profile of the running process, for go tool pprof",
		Long: `Print a profile of the running process, for go tool pprof.

NAME is cpu, heap, allocs, goroutine, mutex, block, threadcreate or trace. It asks the tagpin serve or tagpin update that runs on this
machine with --pprof-socket, so in Kubernetes it runs in the same container.`,
		Example: `  kubectl exec -n argocd deploy/argocd-repo-server -c tagpin -- tagpin profile heap >heap.pb.gz
  go tool pprof -top heap.pb.gz`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: profileNames(),
		RunE:      f.run,
	}
	cmd.Flags().StringVar(&f.socket, "pprof-socket", "", "the socket of the running process")
	cmd.Flags().IntVar(&f.seconds, "seconds", 0, "how long to look on, for cpu and trace (default: 30 and 1)")
	return cmd
}

func profileNames() []string {
	return []string{"cpu", "heap", "allocs", "goroutine", "mutex", "block", "threadcreate", "trace"}
}

func (f *profileFlags) run(cmd *cobra.Command, args []string) error {
	if err := cobra.OnlyValidArgs(cmd, args); err != nil {
		return fmt.Errorf("there is no profile %q: the profiles are %v", args[0], profileNames())
	}
	if f.socket == "" {
		return errors.New("--pprof-socket is missing: name the socket that the running process was given as --pprof-socket")
	}
	name, query := args[0], url.Values{}
	if name == "cpu" {
		name = "profile" // net/http/pprof's word
	}
	if f.seconds > 0 {
		query.Set("seconds", strconv.Itoa(f.seconds))
	}
	address := (&url.URL{Scheme: "http", Host: "tagpin", Path: "/debug/pprof/" + name, RawQuery: query.Encode()}).String()
	return copyOver(cmd.Context(), f.socket, address, cmd.OutOrStdout())
}

// copyOver asks at a Unix socket and copies the answer.
func copyOver(ctx context.Context, socket, address string, to io.Writer) error {
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: statusTimeout}).DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("nobody answers at %s: %w", socket, cmp.Or(errors.Unwrap(err), err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the running process answers %s", resp.Status)
	}
	_, err = io.Copy(to, resp.Body)
	return err
}

// serveProfiles answers with the profiles of net/http/pprof until ctx ends. They hold names and stacks, and no secrets; but they
// cost time, so only the operator gets them.
func serveProfiles(ctx context.Context, listener net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: statusTimeout} // without a bound on writing: a profile takes as long as asked for
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
