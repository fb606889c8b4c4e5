// Bench compares one render in this process with the helm and kustomize programs, built from the same module versions, and
// prints CPU and wall time as ratios that were measured in one run.
//
//	make bench
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/tagpin/tagpin/render"
)

// A subject is a directory that both sides render.
type subject struct {
	name, root, path string
	program          []string
}

func main() {
	runs := flag.Int("runs", 15, "how many renders of each kind are measured")
	flag.Parse()
	if err := run(*runs); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(runs int) error {
	tools, err := os.MkdirTemp("", "tagpin-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tools)
	build := exec.Command("go", "build", "-o", tools+"/", "helm.sh/helm/v3/cmd/helm", "sigs.k8s.io/kustomize/kustomize/v5")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building helm and kustomize: %w", err)
	}
	helm := []string{filepath.Join(tools, "helm"), "template", ".", "--name-template", "bench", "--namespace", "demo", "--kube-version", "1.33", "--include-crds"}
	subjects := []subject{
		{"helm, demo chart", "examples/gitops-demo", "helm", helm},
		{"helm, web shop", "test/testdata/render", "webshop", helm},
		{"kustomize, demo overlay", "examples/gitops-demo", "kustomize/overlays/prod", []string{filepath.Join(tools, "kustomize"), "build", "."}},
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "one render, median of", runs, "\tprogram CPU\ttagpin CPU\tratio\tprogram wall\ttagpin wall\tratio\t")
	for _, s := range subjects {
		program, err := median(runs, s.runProgram)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		library, err := median(runs, s.runLibrary)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(out, "%s\t%v\t%v\t%.1f×\t%v\t%v\t%.1f×\t\n", s.name,
			round(program.cpu), round(library.cpu), ratio(program.cpu, library.cpu),
			round(program.wall), round(library.wall), ratio(program.wall, library.wall))
	}
	return out.Flush()
}

// cost is what one render took.
type cost struct{ cpu, wall time.Duration }

// median measures n renders after one that is not counted, and gives the median of each figure.
func median(n int, render func() (cost, error)) (cost, error) {
	if _, err := render(); err != nil {
		return cost{}, err
	}
	cpu, wall := make([]time.Duration, n), make([]time.Duration, n)
	for i := range n {
		c, err := render()
		if err != nil {
			return cost{}, err
		}
		cpu[i], wall[i] = c.cpu, c.wall
	}
	slices.Sort(cpu)
	slices.Sort(wall)
	return cost{cpu[n/2], wall[n/2]}, nil
}

func (s subject) runProgram() (cost, error) {
	start := time.Now()
	cmd := exec.Command(s.program[0], s.program[1:]...)
	cmd.Dir = filepath.Join(s.root, s.path)
	if _, err := cmd.Output(); err != nil {
		return cost{}, err
	}
	return cost{cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), time.Since(start)}, nil
}

// batch makes a render long enough for the kernel's CPU clock.
const batch = 10

func (s subject) runLibrary() (cost, error) {
	before, start := ownCPU(), time.Now()
	for range batch {
		_, err := render.Render(context.Background(), render.Request{
			Root: mustAbs(s.root),
			Path: s.path,
			App:  render.App{Name: "bench", Namespace: "demo", KubeVersion: "1.33"},
		})
		if err != nil {
			return cost{}, err
		}
	}
	return cost{(ownCPU() - before) / batch, time.Since(start) / batch}, nil
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // fails for a wrong argument only
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func mustAbs(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		panic(err) // fails without a working directory only
	}
	return abs
}

func ratio(a, b time.Duration) float64    { return float64(a) / float64(b) }
func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
