package main

import (
	"errors"
	"net"
	"net/http"
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
