package sim

import (
	"context"
	"flag"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tagpin/tagpin/image"
)

var realTime = flag.Duration("real", 0, "run a busy fleet for so long in real time, to measure lag, memory and CPU (make bench)")

// TestRealTime is for what virtual time can't tell: what ten thousand applications cost one process, and how soon it looks at a
// push that is announced, while each second an image is pushed.
func TestRealTime(t *testing.T) {
	if *realTime == 0 {
		return
	}
	f := large()[2]
	f.replicas, f.failures, f.announced = 1, 0, 1
	w := newWorld(t, f)
	replicas := w.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	wait := w.start(ctx, replicas)
	w.git.written = func(commits []image.Commit, tip int) { w.rollOut(ctx, commits, tip, replicas) }
	for _, a := range w.all {
		w.render(a, revision(w.git.tip(a.RepoURL)), replicas)
	}
	for deadline := time.Now().Add(10 * time.Minute); w.unpinned() > 0; time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			t.Fatalf("%d applications have no pin", w.unpinned())
		}
	}
	w.forget()
	before, begin, greatest := cpu(t), time.Now(), 0
	for time.Since(begin) < *realTime {
		w.push(replicas)
		time.Sleep(time.Second)
		greatest = max(greatest, resident(t))
	}
	used := cpu(t) - before
	w.lags.mu.Lock()
	lags := w.lags.all
	w.lags.mu.Unlock()
	cancel()
	wait()
	t.Logf("%d applications, %d choices after a push each second: lag median %v, p99 %v, greatest %v; %d MiB resident at most, simulated servers "+
		"included; %.0f%% of a core", f.apps, len(lags), lags.percentile(50), lags.percentile(99), lags.percentile(100), greatest,
		100*used.Seconds()/realTime.Seconds())
	if len(lags) == 0 || lags.percentile(99) > 2*time.Second || greatest > 500 {
		t.Error("that is more than 2 s, or 500 MiB")
	}
}

// unpinned counts the applications without a pin.
func (w *world) unpinned() int {
	n := 0
	for _, a := range w.all {
		if w.git.pin(a.RepoURL, a.Name, w.git.tip(a.RepoURL)) < 0 {
			n++
		}
	}
	return n
}

func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is the memory of this process, in MiB.
func resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize() >> 20
}
