package render

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
	"sigs.k8s.io/yaml"
)

// documents does what Helm's releaseutil.SortManifests does: it splits the outputs of templates, tells hooks from manifests and
// sorts both by kind. Helm spends half of a large chart's render there, with a regular expression and a table that is made anew
// for each comparison, and parses each document every time. Here what the last render parsed is kept.
type documents struct {
	mu    sync.Mutex
	heads map[string]head // by their documents
}

// A document is one of the documents that a template gave.
type document struct {
	file, text string
	head
}

// A head is what has to be known of a document.
type head struct {
	kind string
	use  use
}

// A use is what a document is there for.
type use int

const (
	manifest use = iota
	hook
	testHook
	unknownHook // printed nowhere, as in Helm
)

// sort returns manifests and hooks in the order of installation.
func (d *documents) sort(outputs map[string]string) (manifests, hooks []document, err error) {
	var all []document
	for _, file := range slices.Sorted(maps.Keys(outputs)) {
		if strings.HasPrefix(path.Base(file), "_") {
			continue
		}
		for _, text := range splitDocuments(outputs[file]) {
			all = append(all, document{file: file, text: text})
		}
	}
	if err := d.parse(all); err != nil {
		return nil, nil, err
	}
	for _, doc := range all {
		switch doc.use {
		case manifest:
			manifests = append(manifests, doc)
		case hook, testHook:
			hooks = append(hooks, doc)
		}
	}
	slices.SortStableFunc(manifests, byKind)
	slices.SortStableFunc(hooks, byKind)
	return manifests, hooks, nil
}

// parse fills in the heads, and forgets those of documents that are no longer there.
func (d *documents) parse(all []document) error {
	d.mu.Lock()
	known := d.heads
	d.mu.Unlock()
	errs := make([]error, len(all))
	inParallel(len(all), func(i int) {
		var ok bool
		if all[i].head, ok = known[all[i].text]; !ok {
			all[i].head, errs[i] = parseHead(all[i].text)
		}
	})
	now := make(map[string]head, len(all))
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("YAML parse error on %s: %w", all[i].file, err)
		}
		now[all[i].text] = all[i].head
	}
	d.mu.Lock()
	d.heads = now
	d.mu.Unlock()
	return nil
}

// inParallel calls f for 0 to n-1, on all cores if that pays. A panic in f is the caller's.
func inParallel(n int, f func(int)) {
	const few = 16
	var (
		wg    sync.WaitGroup
		next  atomic.Int64
		crash atomic.Value
	)
	work := func() {
		defer func() {
			if p := recover(); p != nil {
				crash.Store(fmt.Sprint(p))
			}
		}()
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			f(i)
		}
	}
	for range min(n/few, runtime.GOMAXPROCS(0)-1) {
		wg.Go(work)
	}
	work()
	wg.Wait()
	if p := crash.Load(); p != nil {
		panic(p)
	}
}

func parseHead(text string) (head, error) {
	var h releaseutil.SimpleHead
	if err := yaml.Unmarshal([]byte(text), &h); err != nil {
		return head{}, err
	}
	if h.Metadata == nil {
		return head{kind: h.Kind}, nil
	}
	events, ok := h.Metadata.Annotations[release.HookAnnotation]
	if !ok {
		return head{kind: h.Kind}, nil
	}
	return head{h.Kind, hookUse(events)}, nil
}

func hookUse(events string) use {
	found := hook
	for event := range strings.SplitSeq(events, ",") {
		event = strings.ToLower(strings.TrimSpace(event))
		switch {
		case event == string(release.HookTest) || event == "test-success": // Helm 2's name
			found = testHook
		case !slices.Contains(hookEvents, release.HookEvent(event)):
			return unknownHook
		}
	}
	return found
}

var hookEvents = []release.HookEvent{
	release.HookPreInstall, release.HookPostInstall, release.HookPreDelete, release.HookPostDelete, release.HookPreUpgrade,
	release.HookPostUpgrade, release.HookPreRollback, release.HookPostRollback,
}

// splitDocuments cuts where Helm does: at three dashes that begin a line, whatever follows them.
func splitDocuments(text string) []string {
	const (
		dashes = "---"
		space  = "\t\n\f\r "
	)
	text = strings.TrimSpace(text)
	var out []string
	add := func(part string) {
		if part != "" {
			out = append(out, strings.TrimSpace(part))
		}
	}
	if rest, ok := strings.CutPrefix(text, dashes); ok {
		text = strings.TrimLeft(rest, space)
	}
	for {
		before, after, found := strings.Cut(text, "\n"+dashes)
		if !found {
			add(text)
			return out
		}
		add(strings.TrimRight(before, space))
		text = strings.TrimLeft(after, space)
	}
}

// byKind compares by the order of installation. Kinds that Helm does not know come last, by name.
func byKind(a, b document) int {
	first, second := installOrder(a.kind), installOrder(b.kind)
	if first == unknownKind && second == unknownKind {
		return strings.Compare(a.kind, b.kind)
	}
	return cmp.Compare(first, second)
}

var unknownKind = len(releaseutil.InstallOrder)

func installOrder(kind string) int {
	if i := slices.Index(releaseutil.InstallOrder, kind); i >= 0 {
		return i
	}
	return unknownKind
}
