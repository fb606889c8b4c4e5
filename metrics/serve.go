package metrics

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// A scrape is one short request; whoever is slower is not waited for.
	readTimeout  = 5 * time.Second
	writeTimeout = 30 * time.Second
	maxHeader    = 16 << 10
	// maxScrapes at a time: reading thousands of applications for everybody who asks would be work for nothing.
	maxScrapes = 3
)

// Handler answers GET /metrics, /healthz (the process answers) and /readyz (ready gives nil). An error of ready is for the log:
// what is answered says nothing of it.
func (m *Metrics) Handler(ready func(context.Context) error, log Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.gatherer, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, ErrorLog: log, ErrorHandling: promhttp.ContinueOnError,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := ready(r.Context()); err != nil {
			log.Println("not ready:", err)
			answer(w, http.StatusServiceUnavailable, "not ready: the log says why")
			return
		}
		answer(w, http.StatusOK, "ok")
	})
	return mux
}

// A Logger is told what nobody else hears of.
type Logger interface{ Println(v ...any) }

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // a client that went away
}

// Serve answers until ctx ends, and closes the listener.
func Serve(ctx context.Context, listener net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       log.New(io.Discard, "", 0), // broken connections of others
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
