package migrate

import (
	"fmt"
	"path"
	"strings"

	"github.com/tagpin/tagpin/image"
)

// steps is the order in which nothing older than what runs is rendered.
func (f *forward) steps() []string {
	n := namer{f.app}
	steps := []string{f.stop(n)}
	if f.get(withoutPinName) == string(image.WithoutPinRefuse) && len(f.in.Directories) == 0 {
		steps = append(steps, "Run this command again with --source-dir, the directory of the source in that checkout. The pins are missing here: with "+
			"what is printed now, every render is refused.")
	}
	if before := content(f.files, func(x File) []byte { return x.Before }); before != "" {
		steps = append(steps, "Commit the pins beside what is there. Argo CD ignores the key pins, so nothing is deployed.\n"+before+
			commit(f.files, func(x File) bool { return x.Before != nil }, "pins for tagpin"))
	}
	steps = append(steps, f.switchOver(n))
	if f.afterwards() {
		steps = append(steps, "Commit the files without the updater's sections. From this commit on the plugin renders, with the tags that run.\n"+
			content(f.files, func(x File) []byte { return x.After })+
			commit(f.files, func(x File) bool { return true }, "tagpin takes over"))
	}
	if f.shared != "" {
		steps = append(steps, "Remove the sections helm and kustomize from "+f.shared+", in one commit with the step before, when all applications "+
			"of the directory are switched.")
	}
	return append(steps, "Look at the result: no image may have changed.\n"+n.get())
}

func (f *forward) stop(n namer) string {
	var how string
	switch {
	case f.updater.resource != "" && !f.app.isSet():
		how = fmt.Sprintf("Take %s out of the ImageUpdater %s (its applicationRef %q), or delete it if it is for nothing else:\n"+
			"    kubectl%s edit imageupdaters.argocd-image-updater.argoproj.io %s", f.app.name, f.updater.resource, f.updater.pattern,
			inNamespace(f.updater.namespace), f.updater.resource)
	case f.updater.resource != "":
		how = fmt.Sprintf("Take the applications of %s out of the ImageUpdater %s (its applicationRef %q):\n"+
			"    kubectl%s edit imageupdaters.argocd-image-updater.argoproj.io %s", f.app.name, f.updater.resource, f.updater.pattern,
			inNamespace(f.updater.namespace), f.updater.resource)
	default:
		how = fmt.Sprintf("Remove the annotation %simage-list; where the manifest is kept in Git, there:\n    %s", image.Prefix, n.annotate())
	}
	return "Stop argocd-image-updater for " + f.app.name + ". " + how + "\nThen bring the checkout up to date, and run this command once more, with the " +
		"manifest as it was before this step, if a " + overrideStem + " file has changed."
}

func (f *forward) switchOver(n namer) string {
	s := "Switch to the plugin: put the manifest that was printed where the present one is kept, or\n    " + n.replace()
	if f.stays {
		s += fmt.Sprintf("\nUntil the next step Argo CD reports %q and deploys nothing.", "multiple application sources defined")
	}
	return s
}

// afterwards says whether files change after the switch.
func (f *forward) afterwards() bool {
	for _, x := range f.files {
		if x.Before == nil || string(x.Before) != string(x.After) {
			return true
		}
	}
	return false
}

// content shows what files shall hold.
func content(files []File, stage func(File) []byte) string {
	var b strings.Builder
	for _, x := range files {
		data := stage(x)
		if len(data) == 0 {
			continue
		}
		fmt.Fprintf(&b, "    # %s\n", x.Path)
		for line := range strings.Lines(string(data)) {
			b.WriteString("    " + strings.TrimRight(line, "\r\n") + "\n")
		}
	}
	return b.String()
}

// commit is the commands that commit the files. Those that are to go are removed.
func commit(files []File, concerned func(File) bool, message string) string {
	var b strings.Builder
	for _, x := range files {
		if !concerned(x) {
			continue
		}
		verb := "add"
		if x.After == nil && x.Before == nil {
			verb = "rm"
		}
		fmt.Fprintf(&b, "    git -C %s %s -- %s\n", quote(path.Dir(x.Path)), verb, quote(path.Base(x.Path)))
	}
	dir := quote(path.Dir(files[0].Path))
	fmt.Fprintf(&b, "    git -C %s commit -m %s && git -C %s push", dir, quote(message), dir)
	return b.String()
}

// A namer writes the commands for one application.
type namer struct{ app *application }

func (n namer) resource() string {
	if n.app.isSet() {
		return "applicationsets.argoproj.io"
	}
	return "applications.argoproj.io"
}

func (n namer) object() string { return text(at(n.app.doc, "metadata", "name")) }

func (n namer) kubectl() string {
	return "kubectl" + inNamespace(text(at(n.app.doc, "metadata", "namespace")))
}

func (n namer) annotate() string {
	if n.app.isSet() {
		return fmt.Sprintf("%s edit %s %s", n.kubectl(), n.resource(), quote(n.object()))
	}
	return fmt.Sprintf("%s annotate %s %s %simage-list-", n.kubectl(), n.resource(), quote(n.object()), image.Prefix)
}

// replace is used because apply leaves fields that it has not written itself, and both sections together are an error.
func (n namer) replace() string { return n.kubectl() + " replace -f -" }

func (n namer) get() string {
	if n.app.isSet() {
		return "    argocd app list"
	}
	name := n.qualified()
	return "    argocd app get --hard-refresh " + quote(name) + "\n    argocd app manifests " + quote(name) + " | grep image:"
}

// qualified is the name for the argocd program.
func (n namer) qualified() string {
	if n.app.namespace == "" {
		return n.object()
	}
	return n.app.namespace + "/" + n.object()
}

func inNamespace(ns string) string {
	if ns == "" {
		return ""
	}
	return " -n " + quote(ns)
}

// quote makes one word of a shell command out of anything.
func quote(s string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
