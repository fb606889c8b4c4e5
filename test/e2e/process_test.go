package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A process runs until its test ends, or until stop or kill.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// start runs a program in the world's environment and env, and ends it with the test.
func (w *world) start(name string, env []string, program string, args ...string) *process {
	w.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Dir = append(w.env(), env...), w.dir
	p, err := w.launch(name, cmd)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// launch starts a command whose output is appended to the log of that name.
func (w *world) launch(name string, cmd *exec.Cmd) (*process, error) {
	p := &process{t: w.root, name: name, cmd: cmd, log: filepath.Join(w.logs, name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	w.root.Cleanup(p.stop)
	return p, nil
}

// stop asks the process to end, and makes it.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.kill()
	}
}

// kill ends the process at once.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// text is what the process has logged.
func (p *process) text() string {
	b, _ := os.ReadFile(p.log)
	return string(b)
}

// tail is the end of the log, for messages.
func (p *process) tail() string {
	lines := strings.Split(strings.TrimSpace(p.text()), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// ready waits for check to find nothing wrong, for as long as the process runs.
func (p *process) ready(check func() error) {
	p.t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-p.done:
			p.t.Fatalf("%s ended:\n%s", p.name, p.tail())
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s is not ready: %v\n%s", p.name, err, p.tail())
		}
	}
}

// listens says whether somebody listens at a TCP address.
func listens(addr string) func() error {
	return func() error {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// eventually waits until check finds nothing wrong, and fails the test with what it found last.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	within(t, 90*time.Second, what, check)
}

func within(t *testing.T, limit time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// try runs a program in the world's environment and returns what it printed on both outputs.
func (w *world) try(program string, args ...string) (string, error) {
	return w.tryWith("", program, args...)
}

func (w *world) tryWith(stdin, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Dir = w.env(), w.dir
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}

// run is try where failing ends the test.
func (w *world) run(program string, args ...string) string {
	w.t.Helper()
	out, err := w.try(program, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}
