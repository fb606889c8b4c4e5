// Bench compares renders with the helm and kustomize programs, built from the same module versions, and says what the render
// workers cost. It prints CPU and wall time as ratios that were measured in one run, turn by turn.
//
//	make bench
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/render"
	"github.com/tagpin/tagpin/render/worker"
)

// A subject is a directory that both sides render.
type subject struct {
	name, root, path string
	program          []string
	batch            int // renders that are measured as one, for the kernel's CPU clock
}

func main() {
	if worker.IsWorker() {
		os.Exit(worker.Main())
	}
	runs := flag.Int("runs", 15, "how many renders of each kind are measured")
	growth := flag.Int("growth", 10_000, "after how many renders memory is looked at")
	flag.Parse()
	debug.SetGCPercent(worker.GCPercent) // as where renders run
	if err := run(*runs, *growth); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(runs, growth int) error {
	dir, err := os.MkdirTemp("", "tagpin-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tools, err := programs(dir)
	if err != nil {
		return err
	}
	if err := writeLarge(filepath.Join(dir, "large")); err != nil {
		return err
	}
	subjects := list(tools, dir)
	if err := compare(subjects, runs); err != nil {
		return err
	}
	if err := workers(subjects, runs); err != nil {
		return err
	}
	return grow(subjects[0], growth)
}

// programs is the directory of helm and kustomize: TAGPIN_TOOLS, or one in which they are built.
func programs(dir string) (string, error) {
	if tools := os.Getenv("TAGPIN_TOOLS"); tools != "" {
		return filepath.Abs(tools)
	}
	build := exec.Command("go", "build", "-o", dir+"/", "helm.sh/helm/v3/cmd/helm", "sigs.k8s.io/kustomize/kustomize/v5")
	build.Stderr = os.Stderr
	return dir, build.Run()
}

func list(tools, dir string) []subject {
	helm := []string{filepath.Join(tools, "helm"), "template", ".", "--name-template", "bench", "--namespace", "demo", "--kube-version", "1.33", "--include-crds"}
	kustomize := []string{filepath.Join(tools, "kustomize"), "build", "."}
	return []subject{
		{"small chart", "examples/gitops-demo", "helm", helm, 20},
		{"medium chart", "test/testdata/render", "webshop", helm, 10},
		{"very large chart", dir, "large", helm, 1},
		{"small overlay", "examples/gitops-demo", "kustomize/overlays/prod", kustomize, 10},
	}
}

// compare prints one table: the program, and renders of a chart that is not known yet, of one that is known with another
// value each time, and of the same again.
func compare(subjects []subject, runs int) error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(out, "one render, median of %d\tCPU\tratio\twall\tratio\t\n", runs)
	for _, s := range subjects {
		kept := render.NewCharts(render.DefaultCharts)
		known := render.NewCharts(render.DefaultCharts)
		ways := []func() (cost, error){
			s.runProgram,
			s.measured(func(int) (render.Result, error) { return render.Render(context.Background(), s.request("")) }),
			s.measured(func(i int) (render.Result, error) {
				return known.Render(context.Background(), s.request(strconv.Itoa(i)))
			}),
			s.measured(same(render.NewResults(render.DefaultResults, kept.Render), s)),
		}
		costs, err := medians(runs, ways)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		program := costs[0]
		for i, what := range []string{"the program", "cold", "the chart again", "the same again"} {
			fmt.Fprintf(out, "%s, %s\t%v\t%.1f×\t%v\t%.1f×\t\n", s.name, what, round(costs[i].cpu), ratio(program.cpu, costs[i].cpu),
				round(costs[i].wall), ratio(program.wall, costs[i].wall))
		}
	}
	return out.Flush()
}

// same renders the same each time. Results keep nothing that is larger than they are: the very large chart fits.
func same(results *render.Results, s subject) func(int) (render.Result, error) {
	return func(int) (render.Result, error) { return results.Render(context.Background(), s.request("")) }
}

// workers prints what rendering in a worker costs, against this process.
func workers(subjects []subject, runs int) error {
	pool, err := worker.NewPool(worker.Options{Size: 1})
	if err != nil {
		return err
	}
	defer pool.Close()
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(out, "\nthe chart again, wall\tin this process\tin a worker\tmore\t\n")
	for _, s := range subjects {
		charts := render.NewCharts(render.DefaultCharts)
		costs, err := medians(runs, []func() (cost, error){
			s.measured(func(i int) (render.Result, error) {
				return charts.Render(context.Background(), s.request(strconv.Itoa(i)))
			}),
			s.measured(func(i int) (render.Result, error) {
				return pool.Render(context.Background(), s.request(strconv.Itoa(i)))
			}),
		})
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(out, "%s\t%v\t%v\t%v\t\n", s.name, round(costs[0].wall), round(costs[1].wall), round(costs[1].wall-costs[0].wall))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	begun := time.Now()
	fresh, err := worker.NewPool(worker.Options{Size: 1})
	if err != nil {
		return err
	}
	defer fresh.Close()
	if _, err := fresh.Render(context.Background(), subjects[0].request("")); err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "a worker that is started for a render: %v\n", round(time.Since(begun)))
	fmt.Fprintf(os.Stdout, "memory of a worker: %d MiB of its own after a small chart, %d MiB after all of these\n", fresh.Memory()>>20, pool.Memory()>>20)
	return nil
}

// grow renders with another value each time, and prints memory after a tenth of them and after all.
func grow(s subject, n int) error {
	pool, err := worker.NewPool(worker.Options{Size: 1})
	if err != nil {
		return err
	}
	defer pool.Close()
	const kept = 4 << 20 // full after some hundred renders: what grows behind that shows
	results := render.NewResults(kept, pool.Render)
	fmt.Fprintf(os.Stdout, "\nmemory of the server and its worker, MiB:")
	for i := range n {
		if _, err := results.Render(context.Background(), s.request(strconv.Itoa(i))); err != nil {
			return err
		}
		if step := max(n/5, 1); i%step == step/8*7 { // not at the moment when a worker is replaced
			fmt.Fprintf(os.Stdout, "  after %d renders %d + %d", i+1, own()>>20, pool.Memory()>>20)
		}
	}
	fmt.Fprintln(os.Stdout)
	return nil
}

// own is what this process holds for itself, in bytes.
func own() int64 { return worker.Held(os.Getpid()) }

// cost is what one render took.
type cost struct{ cpu, wall time.Duration }

// medians measures each way n times, in turn, after once that is not counted.
func medians(n int, ways []func() (cost, error)) ([]cost, error) {
	all := make([][]cost, len(ways))
	for run := range n + 1 {
		for i, way := range ways {
			c, err := way()
			if err != nil {
				return nil, err
			}
			if run > 0 {
				all[i] = append(all[i], c)
			}
		}
	}
	out := make([]cost, len(ways))
	for i, costs := range all {
		slices.SortFunc(costs, func(a, b cost) int { return cmp.Compare(a.cpu, b.cpu) })
		out[i].cpu = costs[n/2].cpu
		slices.SortFunc(costs, func(a, b cost) int { return cmp.Compare(a.wall, b.wall) })
		out[i].wall = costs[n/2].wall
	}
	return out, nil
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

// measured measures a batch of renders; each gets another number.
func (s subject) measured(f func(int) (render.Result, error)) func() (cost, error) {
	n := 0
	return func() (cost, error) {
		before, start := ownCPU(), time.Now()
		for range s.batch {
			n++
			if _, err := f(n); err != nil {
				return cost{}, err
			}
		}
		b := time.Duration(s.batch)
		return cost{(ownCPU() - before) / b, time.Since(start) / b}, nil
	}
}

// request is a render. A tag that is not empty is another value for the chart, or another image of the overlay.
func (s subject) request(tag string) render.Request {
	r := render.Request{Root: mustAbs(s.root), Path: s.path, App: render.App{Name: "bench", Namespace: "demo", KubeVersion: "1.33"}}
	switch kind, err := render.Detect(filepath.Join(s.root, s.path)); {
	case err != nil || tag == "":
	case kind == render.Helm:
		r.Helm = image.Helm{Parameters: map[string]string{"image.tag": "v" + tag}}
	default:
		r.Kustomize = image.Kustomize{Images: []string{"bench:v" + tag}}
	}
	return r
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
