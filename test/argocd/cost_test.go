package argocd

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	cmpapi "github.com/argoproj/argo-cd/v2/cmpserver/apiclient"
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	cmputil "github.com/argoproj/argo-cd/v2/util/cmp"

	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/gitserver"
	"github.com/tagpin/tagpin/test/program"
)

// Measurements are for make bench; their numbers are in docs/performance.md and docs/scale.md.
var costs = flag.Bool("costs", false, "measure what renders through the real repo-server cost")

// A cost is what a render took. CPU is that of the repo-server, of the programs that it starts, and of tagpin with its workers.
type cost struct{ wall, cpu time.Duration }

// cpuOf is the CPU time of this process and its children that ended, and of the process pid and its children.
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	return cpuHere(t) + cpuThere(t, pid)
}

func cpuHere(t *testing.T) (total time.Duration) {
	t.Helper()
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			t.Fatal(err)
		}
		total += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return total
}

func cpuThere(t *testing.T, pid int) (total time.Duration) {
	t.Helper()
	for _, p := range family(t, pid) {
		total += p.cpu
	}
	return total
}

// A process is one of /proc.
type process struct {
	pid, parent int
	cpu         time.Duration
}

// family is a process with its children.
func family(t *testing.T, pid int) []process {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var all []process
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it ended
		}
		name, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest) // from the third on
		number := func(i int) int {
			n, err := strconv.Atoi(fields[i])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		id, err := strconv.Atoi(strings.Fields(name)[0])
		if err != nil {
			t.Fatal(err)
		}
		ticks := number(11) + number(12) + number(13) + number(14) // its own, and those of children that ended
		if p := (process{id, number(1), time.Duration(ticks) * 10 * time.Millisecond}); p.pid == pid || p.parent == pid {
			all = append(all, p)
		}
	}
	return all
}

// memory is what a family holds, in MiB: resident, and with what processes share divided among them.
func memory(t *testing.T, pid int) (resident, proportional int) {
	t.Helper()
	for _, p := range family(t, pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 2 {
				continue
			}
			n, _ := strconv.Atoi(fields[1])
			switch fields[0] {
			case "Rss:":
				resident += n
			case "Pss:":
				proportional += n
			}
		}
	}
	return resident >> 10, proportional >> 10
}

// measure gives the median cost of n renders.
func measure(t *testing.T, n, pid int, render func() error) cost {
	t.Helper()
	if err := render(); err != nil {
		t.Fatal(err)
	}
	var wall []time.Duration
	before := cpuOf(t, pid)
	for range n {
		start := time.Now()
		if err := render(); err != nil {
			t.Fatal(err)
		}
		wall = append(wall, time.Since(start))
	}
	cpu := (cpuOf(t, pid) - before) / time.Duration(n) // the kernel counts in steps of 10 ms, so all together
	slices.Sort(wall)
	return cost{wall[n/2], cpu}
}

// startScript runs argo-cd's own cmp-server with the plugin that people write today: helm template in a script.
func startScript(t *testing.T, sockets string) {
	t.Helper()
	dir := t.TempDir()
	text := `apiVersion: argoproj.io/v1alpha1
kind: ConfigManagementPlugin
metadata: {name: script}
spec:
  generate:
    command: [sh, -c]
    args: ['helm template "$ARGOCD_APP_NAME" . --namespace "$ARGOCD_APP_NAMESPACE" --kube-version "$KUBE_VERSION" --include-crds']
`
	if err := os.WriteFile(filepath.Join(dir, "plugin.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ARGOCD_PLUGINSOCKFILEPATH", sockets)
	t.Setenv("ARGOCD_CMP_WORKDIR", filepath.Join(dir, "work"))
	serveStock(t, dir)
}

// A pinned render through the real repo-server, compared with its own Helm source and with the plugin of a script.
func TestCostOfRender(t *testing.T) {
	if !*costs {
		return
	}
	program.Native(t)
	reg := acr.Start(t, acr.Options{})
	side := startUpdatingSidecar(t, reg, gitserver.Start(t, gitserver.Options{Username: gitUser, Password: gitPassword}))
	startScript(t, side.sockets)
	checkout := newCheckout(t, "../../examples/gitops-demo")
	checkout.write("helm/.argocd-source-gitops-demo.yaml", "pins:\n- image: "+echoServer+"\n  tag: v1.7\n")
	checkout.commit("pinned")
	other := newCheckout(t, "../../examples/gitops-demo") // without pins, which a native source refuses
	other.commit("first")
	server := Start(t, side.sockets)
	render := func(url string, source v1alpha1.ApplicationSource) func() error {
		return func() error {
			_, err := server.Generate(t.Context(), Request{RepoURL: url, Source: source, NoCache: true})
			return err
		}
	}
	const n = 40
	pid := side.cmd.Process.Pid
	native := measure(t, n, pid, render(other.url(), v1alpha1.ApplicationSource{Path: "helm", Helm: &v1alpha1.ApplicationSourceHelm{}}))
	script := measure(t, n, pid, render(other.url(), v1alpha1.ApplicationSource{Path: "helm", Plugin: &v1alpha1.ApplicationSourcePlugin{Name: "script"}}))
	pinned := measure(t, n, pid, render(checkout.url(), gitRepo{}.source("helm")))
	for name, c := range map[string]cost{"native Helm source": native, "cmp-server with a script": script} {
		t.Logf("%s: %v wall, %v CPU; tagpin: %v wall, %v CPU: %.1f× and %.1f×", name, c.wall, c.cpu, pinned.wall, pinned.cpu,
			float64(c.wall)/float64(pinned.wall), float64(c.cpu)/float64(pinned.cpu))
	}
}

// A thousand renders, fifty at a time, as the repo-server would send them after a commit.
func TestCostOfThousandRenders(t *testing.T) {
	if !*costs {
		return
	}
	side := startUpdatingSidecar(t, acr.Start(t, acr.Options{}), gitserver.Start(t, gitserver.Options{Username: gitUser, Password: gitPassword}))
	root := newCheckout(t, "../../examples/gitops-demo").dir
	pin := "pins:\n- image: " + echoServer + "\n  tag: v1.7\n"
	if err := os.WriteFile(filepath.Join(root, "helm/.argocd-source-gitops-demo.yaml"), []byte(pin), 0o600); err != nil {
		t.Fatal(err)
	}
	closer, client, err := cmpapi.NewConfigManagementPluginClientSet(filepath.Join(side.sockets, "tagpin.sock")).NewConfigManagementPluginClient()
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	parameters := `[{"name":"image-list","string":"echoserver=` + echoServer + `"},{"name":"write-back-method","string":"` + viaGitCreds + `"}]`
	render := func(ctx context.Context) error {
		stream, err := client.GenerateManifest(ctx)
		if err != nil {
			return err
		}
		if err := cmputil.SendRepoStream(ctx, filepath.Join(root, "helm"), root, stream, environment("helm", parameters), nil); err != nil {
			return err
		}
		_, err = stream.CloseAndRecv()
		return err
	}
	const renders, together = 1000, 50
	var mu sync.Mutex
	var took []time.Duration
	var failed []error
	resident, proportional := 0, 0
	work := make(chan struct{}, renders)
	for range renders {
		work <- struct{}{}
	}
	close(work)
	start := time.Now()
	var all sync.WaitGroup
	for range together {
		all.Go(func() {
			for range work {
				begin := time.Now()
				err := render(t.Context())
				mu.Lock()
				took = append(took, time.Since(begin))
				if err != nil {
					failed = append(failed, err)
				}
				mu.Unlock()
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(100 * time.Millisecond):
			r, p := memory(t, side.cmd.Process.Pid)
			resident, proportional = max(resident, r), max(proportional, p)
		}
	}
	slices.Sort(took)
	median, p99 := took[renders/2], took[renders*99/100]
	t.Logf("%d renders, %d at a time: %.0f a second, median %v, p99 %v (%.1f×), greatest %v; %d failed; memory of server and workers %d MiB "+
		"(%d MiB resident, what they share counted for each)", renders, together, renders/time.Since(start).Seconds(), median, p99,
		float64(p99)/float64(median), took[renders-1], len(failed), proportional, resident)
	if len(failed) > 0 {
		t.Errorf("%d renders failed: %v", len(failed), failed[0])
	}
	if p99 > 20*median {
		t.Errorf("p99 is %.1f times the median", float64(p99)/float64(median))
	}
}
