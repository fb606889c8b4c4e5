package parity

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"sigs.k8s.io/yaml"

	"github.com/tagpin/tagpin/test/argocd"
)

// TestCombinations puts the values of testdata/fields.yaml together at random, some fields at a time. The same seed gives the
// same combinations. Both sides are the repo-server's render function, without its Git.
func TestCombinations(t *testing.T) {
	b := start(t)
	n := *count
	if testing.Short() {
		n /= 10
	}
	choices := readFields(t)
	dir := t.TempDir()
	unpack(t, dir)
	results := make([]result, n)
	inParallel(n, func(i int) {
		random := rand.New(rand.NewPCG(*seed, uint64(i)))
		results[i] = b.combination(t.Context(), dir, choices.pick(random))
	})
	outcomes := map[string]int{}
	for i, r := range results {
		outcomes[r.outcome]++
		if r.outcome == differs || r.outcome == onlyNative || r.outcome == onlyTagpin {
			t.Errorf("combination %d of seed %d, %s: %s\n%s", i, *seed, r.path, r.outcome, r.detail)
		}
	}
	t.Logf("%d combinations of seed %d: %v", n, *seed, outcomes)
	if outcomes[equal] < n/2 {
		t.Errorf("only %d of %d combinations rendered: %v", outcomes[equal], n, outcomes)
	}
}

// fields are what TestCombinations chooses from: the paths of a type, and the values of each of its fields.
type fields map[string]struct {
	Paths  []string
	Fields map[string][]any
}

func readFields(t *testing.T) fields {
	t.Helper()
	data, err := os.ReadFile("testdata/fields.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var f fields
	if err := yaml.UnmarshalStrict(data, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// A pick is one combination.
type pick struct {
	kind, path string
	spec       map[string]any
}

func (f fields) pick(random *rand.Rand) pick {
	kinds := slices.Sorted(maps.Keys(f))
	p := pick{kind: kinds[random.IntN(len(kinds))], spec: map[string]any{}}
	of := f[p.kind]
	p.path = of.Paths[random.IntN(len(of.Paths))]
	names := slices.Sorted(maps.Keys(of.Fields))
	for _, i := range random.Perm(len(names))[:2+random.IntN(6)] {
		values := of.Fields[names[i]]
		p.spec[names[i]] = values[random.IntN(len(values))]
	}
	return p
}

func (p pick) source() (source, error) {
	data, err := json.Marshal(map[string]any{"path": p.path, p.kind: p.spec})
	if err != nil {
		return source{}, err
	}
	var s v1alpha1.ApplicationSource
	return s, json.Unmarshal(data, &s)
}

func (b bench) combination(ctx context.Context, dir string, p pick) result {
	native, err := p.source()
	if err != nil {
		return result{path: p.path, outcome: differs, detail: err.Error()}
	}
	tagpin, err := viaTagpin(native)
	if err != nil {
		return result{path: p.path, outcome: differs, detail: err.Error()}
	}
	r := b.both(ctx, dir, native, tagpin)
	r.detail = fmt.Sprintf("%s: %v\n%s", p.kind, p.spec, r.detail)
	return r
}

// What became of two renders.
const (
	equal      = "equal"
	differs    = "differs"
	onlyNative = "only native renders"
	onlyTagpin = "only tagpin renders"
	neither    = "neither renders"
)

type result struct{ path, outcome, detail string }

// both renders a copy of the directory natively, as `kustomize edit` and `helm dependency build` write to it, and tagpin the
// directory itself.
func (b bench) both(ctx context.Context, dir string, native, tagpin source) result {
	r := result{path: native.Path}
	got, gotErr := b.server.Local(ctx, dir, argocd.Request{RepoURL: "https://git.example.com/charts", Source: tagpin})
	want, wantErr := b.native(ctx, dir, native)
	switch {
	case gotErr != nil && wantErr != nil:
		r.outcome, r.detail = neither, gotErr.Error()
	case gotErr != nil:
		r.outcome, r.detail = onlyNative, gotErr.Error()
	case wantErr != nil:
		r.outcome, r.detail = onlyTagpin, wantErr.Error()
	default:
		r.outcome, r.detail = b.judge(ctx, dir, native, want, got)
	}
	return r
}

func (b bench) native(ctx context.Context, dir string, s source) ([]string, error) {
	own, err := os.MkdirTemp("", "native")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(own)
	if err := os.CopyFS(own, os.DirFS(dir)); err != nil {
		return nil, err
	}
	return b.server.Local(ctx, own, argocd.Request{RepoURL: "https://git.example.com/charts", Source: s})
}

// attempts is how often native is rendered again where tagpin differs, to see what differs from one run to the next.
const attempts = 4

// judge compares two renders. What differs between native renders too, as a chart with random values does, does not count.
func (b bench) judge(ctx context.Context, dir string, native source, want, got []string) (outcome, detail string) {
	list, err := objects(want)
	if err != nil {
		return differs, err.Error()
	}
	s := standard{objects: list}
	for range attempts {
		detail, err = s.difference(got)
		if err != nil {
			return differs, err.Error()
		}
		if detail == "" {
			return equal, s.note()
		}
		more, err := b.native(ctx, dir, native)
		if err != nil {
			return differs, err.Error()
		}
		if err := s.again(more); err != nil {
			return differs, err.Error()
		}
	}
	return differs, detail
}

func (s *standard) note() string {
	switch {
	case s.varies > 0:
		return fmt.Sprintf("but for values that native makes anew each time, in %d objects", s.varies)
	case s.anyOrder:
		return "in an order that native changes from run to run"
	}
	return ""
}

// inParallel calls f for 0 to n-1 from as many goroutines as there are cores, usually.
func inParallel(n int, f func(int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
