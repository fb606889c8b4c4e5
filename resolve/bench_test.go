package resolve_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/tagpin/tagpin/image"
)

func BenchmarkSemver10k(b *testing.B) {
	var tags []string
	for i := range 10_000 {
		switch i % 4 {
		case 0:
			tags = append(tags, fmt.Sprintf("v%d.%d.%d", i%3, i%100, i))
		case 1:
			tags = append(tags, fmt.Sprintf("%d.%d.%d-rc.%d", i%3, i%100, i, i%7))
		case 2:
			tags = append(tags, fmt.Sprintf("main-%07x", i*7919))
		case 3:
			tags = append(tags, fmt.Sprintf("1.%d", i))
		}
	}
	s, p := named(tags...), policy(b, image.PolicySpec{Constraint: "^1", IgnoreTags: []string{"latest", "*-dev"}})
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		if choose(b, s, p).Tag == "" {
			b.Fatal("nothing chosen")
		}
	}
	b.ReportMetric(float64((cpu()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// cpu is what this process has used so far, however busy the machine is.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // fails for a wrong argument only
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkNewestBuild1000(b *testing.B) {
	var tags []image.Tag
	for i := range 1000 {
		tags = append(tags, image.Tag{Name: fmt.Sprintf("build-%d", i), Created: now.AddDate(0, 0, i-2000)})
	}
	s, p := shelve(tags...), policy(b, image.PolicySpec{Strategy: "newest-build"})
	b.ReportAllocs()
	for b.Loop() {
		s.described.Store(0)
		if c := choose(b, s, p); c.Tag != "build-999" || s.described.Load() != 1000 {
			b.Fatalf("chose %q after %d questions", c.Tag, s.described.Load())
		}
	}
}
