package argocd

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/argoproj/argo-cd/v2/reposerver/apiclient"
)

// A Program is the repo-server of another version in a process of its own (test/argocdv3).
type Program struct{ idle chan *conversation }

type conversation struct {
	requests *json.Encoder
	answers  *json.Decoder
}

// StartProgram starts processes of the program, as many as render at a time; they look for plugin sockets in socketDir.
func StartProgram(t *testing.T, program, socketDir string) *Program {
	t.Helper()
	const processes = 3
	p := &Program{idle: make(chan *conversation, processes)}
	for range processes {
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), "ARGOCD_PLUGINSOCKFILEPATH="+socketDir, "ARGOCD_GPG_ENABLED=false")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		answers, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.ExtraFiles = []*os.File{out}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		out.Close()
		t.Cleanup(func() {
			in.Close()
			_ = cmd.Wait()
			answers.Close()
		})
		p.idle <- &conversation{json.NewEncoder(in), json.NewDecoder(answers)}
	}
	return p
}

// Generate is RepoServer's.
func (p *Program) Generate(_ context.Context, r Request) ([]string, error) { return p.ask("", r) }

// Local is RepoServer's.
func (p *Program) Local(_ context.Context, root string, r Request) ([]string, error) {
	return p.ask(root, r)
}

func (p *Program) ask(root string, r Request) ([]string, error) {
	c := <-p.idle
	defer func() { p.idle <- c }()
	request := struct {
		Root    string
		Message *apiclient.ManifestRequest
	}{root, r.message()}
	if err := c.requests.Encode(request); err != nil {
		return nil, err
	}
	var answer struct {
		Manifests []string
		Error     string
	}
	err := c.answers.Decode(&answer)
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("the repo-server's program has ended")
	case err != nil:
		return nil, err
	case answer.Error != "":
		return nil, errors.New(answer.Error)
	}
	return answer.Manifests, nil
}
