package migrate

import "fmt"

// steps is the order in which nothing older than what runs is rendered.
func (b *back) steps() []string {
	n := namer{b.app}
	steps := []string{b.hold(n)}
	if before := content(b.files, func(x File) []byte { return x.Before }); before != "" {
		steps = append(steps, fmt.Sprintf("Commit argocd-image-updater's section beside the pins. Until the next step Argo CD reports %q and deploys "+
			"nothing.\n", "multiple application sources defined")+before+
			commit(b.files, func(x File) bool { return x.Before != nil }, "back to argocd-image-updater"))
	}
	steps = append(steps, "Switch the source: put the manifest that was printed where the present one is kept, or\n    "+n.replace()+
		"\nArgo CD renders by itself again, with the tags that run. From now on argocd-image-updater sees the annotations; from v1 on it needs an "+
		"ImageUpdater with useAnnotations: true as well. It may choose a tag older than that which runs: it compares with none.")
	if len(b.files) > 0 {
		steps = append(steps, "Commit the files without the pins; Argo CD has ignored them since the last step.\n"+
			content(b.files, func(x File) []byte { return x.After })+
			commit(b.files, func(File) bool { return true }, "remove the pins of tagpin"))
	}
	return append(steps, "Look at the result: no image may have changed.\n"+n.get())
}

func (b *back) hold(n namer) string {
	how := "    argocd app set " + quote(n.qualified()) + " --plugin-env HOLD=true"
	if b.app.isSet() {
		how = fmt.Sprintf("    %s edit %s %s", n.kubectl(), n.resource(), quote(n.object()))
	}
	return "Stop tagpin for " + b.app.name + ": set the parameter hold to \"true\" where the manifest is kept, or\n" + how +
		"\nand wait until the application has been refreshed. Then bring the checkout up to date, and run this command once more, with the " +
		"manifest that has no hold, if the pins have changed."
}
