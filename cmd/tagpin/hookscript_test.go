package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long scripts wait for what must come soon.
const patience = time.Minute

// hookCommands are those of scripts about webhooks.
func hookCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		// free-address VARIABLE sets it to an address that nobody listens at.
		"free-address": func(ts *testscript.TestScript, _ bool, args []string) {
			l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test
			ts.Check(err)
			ts.Setenv(args[0], l.Addr().String())
			ts.Check(l.Close())
		},
		// fetch URL prints what is answered; anything but 200 is a failure.
		"fetch": func(ts *testscript.TestScript, neg bool, args []string) {
			text, err := fetchURL(args[0])
			if neg != (err != nil) {
				ts.Fatalf("fetch %s: %v", args[0], err)
			}
			_, err = io.WriteString(ts.Stdout(), text)
			ts.Check(err)
		},
		// fetch-until URL REGEXP asks until the answer has what is looked for.
		"fetch-until": func(ts *testscript.TestScript, _ bool, args []string) {
			want := regexp.MustCompile(args[1])
			for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
				text, err := fetchURL(args[0])
				switch {
				case err == nil && want.MatchString(text):
					return
				case time.Now().After(deadline):
					ts.Fatalf("fetch %s: %v\n%s", args[0], err, text)
				}
			}
		},
		// hook STATUS URL FILE posts a file, as soon as somebody listens.
		"hook": func(ts *testscript.TestScript, _ bool, args []string) {
			status, err := strconv.Atoi(args[0])
			ts.Check(err)
			for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
				resp, err := http.Post(args[1], "application/json", strings.NewReader(ts.ReadFile(args[2]))) //nolint:noctx // a test
				if errors.Is(err, syscall.ECONNREFUSED) && time.Now().Before(deadline) {
					continue
				}
				ts.Check(err)
				resp.Body.Close()
				if resp.StatusCode != status {
					ts.Fatalf("HTTP %d, want %d", resp.StatusCode, status)
				}
				return
			}
		},
	}
}

func fetchURL(url string) (string, error) {
	resp, err := http.Get(url) //nolint:noctx // a test
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return string(body), err
}
