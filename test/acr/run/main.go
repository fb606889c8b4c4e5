// Run starts a fake of Alibaba Cloud Container Registry on this machine, under ACR's own names, for trying out what tagpin, or
// any other client, makes of it:
//
//	go run ./test/acr/run
//
// It writes the files that tagpin needs, says how to use them, and shows each request and who was shown which login.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tagpin/tagpin/test/acr"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "acr:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o acr.Options
	dir := flag.String("dir", "", "where the files go; empty: a temporary directory that is removed at the end")
	trigger := flag.String("trigger", "", "a URL that each push is announced to, as ACR's triggers do: http://127.0.0.1:8083/webhook/acr?secret=…")
	flag.BoolVar(&o.Public, "public", false, "anybody may pull")
	flag.IntVar(&o.PageSize, "page-size", 0, "splits tag lists into pages with Link headers; 0: one list, as ACR's is expected to be")
	flag.Parse()
	o.RedirectBlobs = true

	if *dir == "" {
		temporary, err := os.MkdirTemp("", "fake-acr-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		*dir = temporary
	}
	cloud, err := acr.NewCloud(*dir, o)
	if err != nil {
		return err
	}
	defer cloud.Close()
	cloud.Push(time.Now().Add(-7 * 24 * time.Hour))
	if _, err := cloud.WriteFiles(*dir); err != nil {
		return err
	}
	out := &lines{to: os.Stdout}
	if *trigger != "" {
		announce(cloud, *trigger, out)
	}
	explain(out, *dir)
	cloud.Net.Watch(func(s acr.Seen) { out.print(request(s)) })
	go readTags(os.Stdin, cloud, out)
	<-ctx.Done()
	return nil
}

// lines come from several goroutines.
type lines struct {
	mu sync.Mutex
	to io.Writer
}

func (l *lines) print(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.to, text)
}

func announce(cloud *acr.Cloud, url string, out *lines) {
	for _, s := range cloud.Registries() {
		s.OnPush(func(a acr.Arrival) {
			status, err := s.Announce(url, a)
			switch {
			case err != nil:
				out.print("trigger: nobody answers at the URL")
			default:
				out.print(fmt.Sprintf("trigger: %s:%s was announced: HTTP %d", a.Repository, a.Tag, status))
			}
		})
	}
}

// readTags pushes what is typed.
func readTags(from io.Reader, cloud *acr.Cloud, out *lines) {
	for in := bufio.NewScanner(from); in.Scan(); {
		tag := strings.TrimSpace(in.Text())
		if tag == "" {
			continue
		}
		var errs []error
		for _, s := range cloud.Registries() {
			errs = append(errs, s.TryPush(acr.Repository, tag, acr.Image{Created: time.Now()}))
		}
		if errors.Join(errs...) != nil {
			out.print(fmt.Sprintf("%q can't be pushed: write one tag", tag))
			continue
		}
		out.print("pushed " + acr.Repository + ":" + tag + " everywhere")
	}
}

// request is one line of what is recorded. It holds no secret.
func request(s acr.Seen) string {
	shown := ""
	switch scheme, _, _ := strings.Cut(s.Authorization, " "); {
	case s.User() != "":
		shown = "with the password of " + s.User()
	case scheme == "Bearer":
		shown = "with a token"
	case scheme != "":
		shown = "with a signature"
	}
	status := fmt.Sprint(s.Status)
	if s.Status == 0 {
		status = "no such host"
	}
	return fmt.Sprintf("%s  %-4s %s://%s%s %s", status, s.Method, s.Scheme, s.Host, s.Path, shown)
}

func explain(out *lines, dir string) {
	out.print(fmt.Sprintf(`Alibaba Cloud Container Registry, as a fake on this machine, until Ctrl-C. Each registry has %s with v1.0, v1.1 and v2.0.

  personal            %s
                      %s
                      %s
  personal instance   %s
  Enterprise          %s  (%s)
                      %s
  its own domain      %s

In another terminal:

  . %s
  tagpin doctor --app %s
  tagpin resolve %s/%s
  tagpin resolve %s/%s --update-strategy newest-push

Every program there that knows HTTPS_PROXY and SSL_CERT_FILE (crane, say) reaches these names; the logins are in %s.
Type a tag here to push it to all of them. Requests are shown as they come:
`,
		acr.Repository, acr.PersonalHost, acr.PersonalVPCHost, acr.ShanghaiHost, acr.OwnHost, acr.InstanceHost, acr.InstanceID, acr.InstanceVPCHost, acr.CustomHost,
		filepath.Join(dir, "env"), filepath.Join(dir, "applications.yaml"), acr.PersonalVPCHost, acr.Repository, acr.InstanceVPCHost, acr.Repository,
		filepath.Join(dir, "secrets", "argocd")))
}
