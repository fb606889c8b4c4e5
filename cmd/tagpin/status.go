package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tagpin/tagpin/reconcile"
)

// statusTimeout bounds each step of a question on one machine; an answer comes at once.
const statusTimeout = 5 * time.Second

// maxStatus bounds an answer, in bytes: ten kilobytes for each of the most applications that a loop observes.
const maxStatus = 200 << 20

type statusFlags struct{ socket, output string }

func newStatus() *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:   "status [APPLICATION]",
		Short: "Print what is pinned, and what keeps a newer tag from it",
		Long: `Print what is pinned, and what keeps a newer tag from it.

It asks the tagpin serve or tagpin update that runs on this machine, so in Kubernetes it runs in the same container.
An application is called as Argo CD calls it for plugins: NAME, or NAMESPACE_NAME outside of Argo CD's own namespace.`,
		Args: cobra.MaximumNArgs(1),
		RunE: f.run,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.socket, "socket", defaultStatusSocket(), "the --status-socket of the process to ask")
	flags.StringVarP(&f.output, "output", "o", outputTable, "table or json")
	return cmd
}

func (f *statusFlags) run(cmd *cobra.Command, args []string) error {
	if err := checkOutput(f.output); err != nil {
		return err
	}
	reply, err := askStatus(cmd.Context(), f.socket)
	if err != nil {
		return err
	}
	if len(args) == 1 {
		all := len(reply.Applications)
		reply.Applications = slices.DeleteFunc(reply.Applications, func(a appStatus) bool { return a.Name != args[0] })
		if len(reply.Applications) == 0 {
			return fmt.Errorf("%s is none of the %d applications that have been checked: one that Argo CD has not rendered since tagpin "+
				"started is not known, nor is one with write-back-method none", args[0], all)
		}
	}
	if f.output == outputJSON {
		return encodeStatus(cmd.OutOrStdout(), reply)
	}
	return printStatus(cmd.OutOrStdout(), reply)
}

// askStatus asks the process behind a socket.
func askStatus(ctx context.Context, socket string) (statusReply, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://tagpin"+statusPath, nil)
	if err != nil {
		return statusReply{}, err
	}
	response, err := client.Do(request)
	var unreachable *net.OpError
	if errors.As(err, &unreachable) {
		return statusReply{}, fmt.Errorf("nobody answers at %s (%w): run this where `tagpin serve` or `tagpin update` runs, with its "+
			"--status-socket as --socket", socket, unreachable.Err)
	} else if err != nil {
		return statusReply{}, fmt.Errorf("asking %s: %w", socket, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return statusReply{}, fmt.Errorf("what answers at %s is no tagpin: HTTP status %d", socket, response.StatusCode)
	}
	var reply statusReply
	if err := json.NewDecoder(io.LimitReader(response.Body, maxStatus)).Decode(&reply); err != nil {
		return statusReply{}, fmt.Errorf("what answers at %s is no tagpin: %w", socket, err)
	}
	return reply, nil
}

func encodeStatus(w io.Writer, reply statusReply) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(reply)
}

// printStatus prints a row for each image. Reasons of several lines, which hold lines to add somewhere, follow the table.
func printStatus(out io.Writer, reply statusReply) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "APPLICATION\tSTATE\tIMAGE\tPINNED\tCHOICE\tLAST CHECK\tREASON")
	for _, a := range reply.Applications {
		images := a.Images
		if len(images) == 0 {
			images = []reconcile.ImageStatus{{}}
		}
		for _, i := range images {
			reason := i.Reason
			if reason == "" {
				reason = a.Reason
			}
			first, _, _ := strings.Cut(reason, "\n")
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", a.Name, a.State, orDash(i.Image), orDash(i.Pinned), orDash(i.Choice),
				ago(a.Checked), first)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, a := range reply.Applications {
		if strings.Contains(a.Reason, "\n") {
			fmt.Fprintf(out, "\n%s: %s\n", a.Name, strings.TrimRight(a.Reason, "\n"))
		}
	}
	return nil
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func ago(t time.Time) string { return time.Since(t).Round(time.Second).String() + " ago" }
