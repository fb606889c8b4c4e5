package migrate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tagpin/tagpin/image"
)

// documents is a file cut at the markers between documents, so that those that are not migrated keep every byte.
type documents struct {
	chunks []string
	roots  []*yaml.Node // nil where a chunk holds none
	crlf   bool
}

// marker begins a document wherever it stands: YAML lets no scalar have it at the start of a line.
var marker = regexp.MustCompile(`(?m)^---(?:[ \t\r]|$)`)

func cut(data []byte) (documents, error) {
	s := string(bytes.TrimPrefix(data, []byte("\uFEFF")))
	d := documents{crlf: strings.Contains(s, "\r\n")}
	from := 0
	for _, m := range marker.FindAllStringIndex(s, -1) {
		if m[0] > from {
			d.chunks = append(d.chunks, s[from:m[0]])
		}
		from = m[0]
	}
	d.chunks = append(d.chunks, s[from:])
	for _, chunk := range d.chunks {
		root, err := parse([]byte(chunk))
		if err != nil {
			return d, err
		}
		d.roots = append(d.roots, root)
	}
	return d, nil
}

// parse reads one document; the result is nil when there is none.
func parse(data []byte) (*yaml.Node, error) {
	var doc yaml.Node
	err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && (len(doc.Content) == 0 || isNull(doc.Content[0])) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("it is not valid YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return &doc, nil
}

// An application is the Application, or the template of the ApplicationSet, that is migrated.
type application struct {
	kind  string
	chunk int
	// document is the YAML document, doc its mapping; meta and spec are those of the Application itself.
	document, doc, meta, spec *yaml.Node
	// name may hold a template, namespace may be empty.
	name, namespace string
}

const (
	kindApplication    = "Application"
	kindApplicationSet = "ApplicationSet"
	kindUpdater        = "ImageUpdater"
)

func (a *application) isSet() bool { return a.kind == kindApplicationSet }

func (a *application) label() string {
	return strings.TrimSpace(a.kind + " " + text(at(a.doc, "metadata", "name")))
}

// open finds the application in the manifest.
func open(in Input) (documents, *application, error) {
	docs, err := cut(in.Manifest)
	if err != nil {
		return docs, nil, fmt.Errorf("reading the manifest: %w", err)
	}
	var found []*application
	for i, root := range docs.roots {
		if a := asApplication(root); a != nil && (in.Name == "" || in.Name == text(at(a.doc, "metadata", "name"))) {
			a.chunk = i
			found = append(found, a)
		}
	}
	switch {
	case len(found) == 0 && in.Name != "":
		return docs, nil, fmt.Errorf("the manifest has no Application or ApplicationSet %q", in.Name)
	case len(found) == 0:
		return docs, nil, errors.New("the manifest has no Application or ApplicationSet of Argo CD")
	case len(found) > 1:
		return docs, nil, fmt.Errorf("the manifest has %d Applications and ApplicationSets: say with --name which one is meant", len(found))
	case found[0].spec == nil:
		return docs, nil, fmt.Errorf("%s has no spec", found[0].label())
	case !found[0].isSet() && len(in.Directories) > 1:
		return docs, nil, fmt.Errorf("%s has one source directory: give --source-dir once", found[0].label())
	}
	return docs, found[0], nil
}

func asApplication(document *yaml.Node) *application {
	if document == nil {
		return nil
	}
	doc := document.Content[0]
	kind := text(child(doc, "kind"))
	if !strings.HasPrefix(text(child(doc, "apiVersion")), "argoproj.io/") {
		return nil
	}
	a := &application{kind: kind, document: document, doc: doc, meta: child(doc, "metadata"), spec: child(doc, "spec")}
	switch kind {
	case kindApplication:
	case kindApplicationSet:
		a.meta, a.spec = at(doc, "spec", "template", "metadata"), at(doc, "spec", "template", "spec")
	default:
		return nil
	}
	a.name, a.namespace = text(child(a.meta, "name")), text(child(a.meta, "namespace"))
	return a
}

// dropAnnotations takes out the updater's annotations.
func (a *application) dropAnnotations() {
	annotations := child(a.meta, "annotations")
	for _, name := range keysOf(annotations) {
		if strings.HasPrefix(name, image.Prefix) {
			remove(annotations, name)
		}
	}
	if annotations != nil && len(annotations.Content) == 0 {
		remove(a.meta, "annotations")
	}
}

// unfold writes what surrounds a source in lines of its own, so that there is room for what is put into it.
func (a *application) unfold(source *yaml.Node) {
	for _, n := range []*yaml.Node{a.doc, child(a.doc, "spec"), at(a.doc, "spec", "template"), a.spec, child(a.spec, "sources"), source} {
		if n != nil {
			n.Style &^= yaml.FlowStyle
		}
	}
}

func keysOf(n *yaml.Node) []string {
	var keys []string
	for k := range pairs(n) {
		keys = append(keys, k.Value)
	}
	return keys
}

// dropLive takes out what only a cluster writes, so that the output of kubectl get can be used as it is.
func (a *application) dropLive(r *report) {
	if a.isSet() && child(a.doc, "status") == nil {
		return
	}
	var dropped []string
	drop := func(n *yaml.Node, prefix string, keys ...string) {
		for _, k := range keys {
			if child(n, k) != nil {
				remove(n, k)
				dropped = append(dropped, prefix+k)
			}
		}
	}
	meta := child(a.doc, "metadata")
	drop(a.doc, "", "status", "operation")
	drop(meta, "metadata.", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")
	annotations := child(meta, "annotations")
	drop(annotations, "", "kubectl.kubernetes.io/last-applied-configuration", "argocd.argoproj.io/refresh")
	if annotations != nil && len(annotations.Content) == 0 {
		remove(meta, "annotations")
	}
	if len(dropped) > 0 {
		r.tell("manifest", "left out what the cluster writes: %s", strings.Join(dropped, ", "))
	}
}

// finish writes the manifest with its warnings, and makes sure that it can be read.
func finish(docs documents, app *application, r report, out Output) (Output, error) {
	out.Notes = r.notes
	body, err := encode(app.document, isCompact(app.document))
	if err != nil {
		return out, err
	}
	if _, err := parse(body); err != nil {
		return out, fmt.Errorf("%s: an anchor in the part that is replaced is used elsewhere: write the manifest without it (%w)",
			app.label(), err)
	}
	chunk := comments(out.Warnings()) + string(body)
	if strings.HasPrefix(docs.chunks[app.chunk], "---") {
		chunk = "---\n" + chunk
	}
	if docs.crlf {
		chunk = strings.ReplaceAll(chunk, "\n", "\r\n")
	}
	chunks := slices.Clone(docs.chunks)
	chunks[app.chunk] = chunk
	out.Manifest = []byte(strings.Join(chunks, ""))
	slices.SortStableFunc(out.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

func comments(warnings []Note) string {
	var b strings.Builder
	for _, n := range warnings {
		fmt.Fprintf(&b, "# tagpin: %s\n", strings.ReplaceAll(n.String(), "\n", " "))
	}
	return b.String()
}

const indentation = 2

func encode(n *yaml.Node, compact bool) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(indentation)
	if compact {
		enc.CompactSeqIndent()
	}
	if err := enc.Encode(n); err != nil {
		return nil, fmt.Errorf("writing YAML: %w", err)
	}
	return b.Bytes(), enc.Close()
}

// isCompact says whether the first list below a key starts in the column of the key, as most tools write it.
func isCompact(n *yaml.Node) bool {
	compact, known := true, false
	walk(n, func(n *yaml.Node) {
		for k, v := range pairs(n) {
			if !known && v.Kind == yaml.SequenceNode && v.Style&yaml.FlowStyle == 0 && v.Line > k.Line {
				compact, known = v.Column == k.Column, true
			}
		}
	})
	return compact
}
