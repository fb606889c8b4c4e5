package worker

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process is one worker.
type process struct {
	cmd      *exec.Cmd
	requests *os.File
	answers  *os.File
	stderr   *head
	renders  int
	paths    map[string]bool // that it has rendered
	ended    sync.Once
}

// start runs this program again, with nothing but the pipes.
func start(memory int64, isolate bool) (*process, error) {
	childIn, requests, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	answers, childOut, err := os.Pipe()
	if err != nil {
		childIn.Close()
		requests.Close()
		return nil, err
	}
	defer childIn.Close()
	defer childOut.Close()
	p := &process{requests: requests, answers: answers, stderr: &head{}, paths: map[string]bool{}}
	p.cmd = &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       []string{name, strconv.FormatInt(memory, 10)},
		Env:        []string{},
		Dir:        "/",
		Stderr:     p.stderr,
		ExtraFiles: []*os.File{childIn, childOut},
		WaitDelay:  time.Second,
		// Without Pdeathsig, which means the death of the thread: at the server's end the pipe ends, or the answer finds no reader.
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	if isolate {
		p.cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET
	}
	if err := p.cmd.Start(); err != nil {
		requests.Close()
		answers.Close()
		return nil, fmt.Errorf("starting a render worker: %w", err)
	}
	return p, nil
}

// end kills the worker and waits until it is gone.
func (p *process) end() {
	p.ended.Do(func() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		_ = p.cmd.Wait()
		p.requests.Close()
		p.answers.Close()
	})
}

// resident is the memory that the worker holds, in bytes, its share of the program's text included; 0 when it is gone.
func (p *process) resident() int64 { return statm(p.cmd.Process.Pid, 1) }

// Held is the memory that a process holds for itself, in bytes: without what it shares with others, as the program's text.
func Held(pid int) int64 { return statm(pid, 1) - statm(pid, 2) }

// statm is a number of pages in /proc/<pid>/statm, in bytes.
func statm(pid, field int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) <= field {
		return 0
	}
	pages, err := strconv.ParseInt(fields[field], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// A head keeps the start of what a worker says when it dies. It is never shown: a chart's values may be in it.
type head struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (h *head) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf.Write(b[:min(len(b), 4096-h.buf.Len())])
	return len(b), nil
}

func (h *head) says(text string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return bytes.Contains(h.buf.Bytes(), []byte(text))
}
