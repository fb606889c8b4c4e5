// Command tagpin keeps the images of Argo CD applications up to date. `tagpin serve` is the plugin server that runs beside
// argocd-repo-server; the other commands do the same work for people, CI and the stock argocd-cmp-server.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/tagpin/tagpin/render/worker"
)

func main() {
	if worker.IsWorker() {
		log.SetOutput(io.Discard)
		os.Exit(worker.Main())
	}
	os.Exit(run())
}

// run is main for a process that goes on afterwards, as a test's does.
func run() int {
	// Libraries write here what charts hold, Helm its warnings with values among them.
	log.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newRoot().ExecuteContext(ctx); err != nil {
		if !errors.Is(err, errSilent) {
			fmt.Fprintln(os.Stderr, "tagpin:", err)
		}
		return 1
	}
	return 0
}
