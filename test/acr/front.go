package acr

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Kind of request, for Counts and Fail.
type Kind string

// The kinds. Manifest and Blob hold both GET and HEAD.
const (
	Ping     Kind = "ping"
	Token    Kind = "token"
	List     Kind = "list"
	Manifest Kind = "manifest"
	Blob     Kind = "blob"
)

// Counts are the requests since the start or the last Reset. Those that got a challenge and those of Push are left out.
type Counts struct{ Ping, Token, List, Manifest, Blob int }

// Total is the number of all of them.
func (c Counts) Total() int { return c.Ping + c.Token + c.List + c.Manifest + c.Blob }

// A Fault makes requests of one kind fail.
type Fault struct {
	// Status answers with this status. 401 comes with a challenge, as for an expired token.
	Status int
	// Code is the error code in the body; empty: none that is known.
	Code string
	// RetryAfter is sent when it is not empty.
	RetryAfter string
	// Reset closes the connection without an answer.
	Reset bool
	// Cut breaks the connection off in the middle of a list of tags.
	Cut bool
	// Delay comes before whatever else happens.
	Delay time.Duration
	// Times is how many requests fail; zero: all, until Heal.
	Times int
	// Match limits the fault to paths that contain it.
	Match string
}

// Leak is in the message of every fault's answer, and no error of a client may repeat it.
const Leak = "remote-Canary-message"

// Counts returns the requests so far.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// Reset sets all counts to zero.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts = Counts{}
}

// Fail makes requests of this kind fail until they have failed f.Times times, or until Heal.
func (s *Server) Fail(k Kind, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[k] = &f
}

// Heal ends all faults.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.faults)
}

// CredentialsLeaked says whether the host that blobs are redirected to was ever shown an Authorization header.
func (s *Server) CredentialsLeaked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaked
}

func kindOf(path string) Kind {
	switch {
	case path == "/v2/":
		return Ping
	case strings.HasSuffix(path, "/tags/list"):
		return List
	case strings.Contains(path, "/manifests/"):
		return Manifest
	}
	return Blob
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/auth" {
		s.serveToken(w, r)
		return
	}
	if s.expired(r) {
		r.Header.Del("Authorization")
	}
	if class := unknownClass(r); class != "" {
		deny(w, class)
		return
	}
	if kind := kindOf(r.URL.Path); (kind == Ping || r.Header.Get("Authorization") != "") && s.intercept(kind, w, r.URL.Path) {
		return
	}
	proxy := &httputil.ReverseProxy{
		Transport: s.way,
		ErrorLog:  log.New(io.Discard, "", 0), // a client that leaves is no news
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: backend})
			p.Out.Host = p.In.Host
		},
		ModifyResponse: s.modify,
	}
	proxy.ServeHTTP(w, r)
}

// intercept counts a request and says whether a fault answered it.
func (s *Server) intercept(k Kind, w http.ResponseWriter, path string) bool {
	f := s.next(k, path)
	if f == nil {
		return false
	}
	time.Sleep(f.Delay)
	if f.Cut {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"name":"cut","tags":["v0.1","v0.2",`)
		_ = http.NewResponseController(w).Flush()
	}
	if f.Reset || f.Cut {
		panic(http.ErrAbortHandler)
	}
	if f.Status == 0 {
		return false
	}
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	if f.Status == http.StatusUnauthorized && k != Token {
		w.Header().Set("Www-Authenticate", fmt.Sprintf(`Bearer realm=%q,service=%q`, s.realm(), s.opts.Service))
	}
	refuse(w, f.Status, f.Code)
	return true
}

func (s *Server) next(k Kind, path string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch k {
	case Ping:
		s.counts.Ping++
	case Token:
		s.counts.Token++
	case List:
		s.counts.List++
	case Manifest:
		s.counts.Manifest++
	case Blob:
		s.counts.Blob++
	}
	f := s.faults[k]
	if f == nil || !strings.Contains(path, f.Match) {
		return nil
	}
	if f.Times == 1 {
		delete(s.faults, k)
	} else if f.Times > 1 {
		f.Times--
	}
	return f
}

func refuse(w http.ResponseWriter, status int, code string) {
	if code == "" {
		code = "X_UNKNOWN"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q,"detail":null}]}`, code, Leak)
}

// modify shapes the answers of docker-registry.
func (s *Server) modify(resp *http.Response) error {
	path := resp.Request.URL.Path
	switch {
	case resp.StatusCode == http.StatusCreated && resp.Request.Method == http.MethodPut:
		s.arrived(resp)
	case resp.StatusCode != http.StatusOK:
	case s.opts.PageSize > 0 && kindOf(path) == List:
		return s.page(resp)
	case s.opts.RedirectBlobs && resp.Request.Method == http.MethodGet && strings.Contains(path, "/blobs/"):
		return s.redirect(resp)
	}
	return nil
}

// page cuts the list that docker-registry gives whole.
func (s *Server) page(resp *http.Response) error {
	var list struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		return err
	}
	slices.Sort(list.Tags)
	last := resp.Request.URL.Query().Get("last")
	start, found := slices.BinarySearch(list.Tags, last)
	if found {
		start++
	}
	end := min(start+s.opts.PageSize, len(list.Tags))
	if end < len(list.Tags) {
		resp.Header.Set("Link", fmt.Sprintf(`<%s%s?last=%s&n=%d>; rel="next"`,
			s.opts.LinkHost, resp.Request.URL.Path, url.QueryEscape(list.Tags[end-1]), s.opts.PageSize))
	}
	list.Tags = list.Tags[start:end]
	body, err := json.Marshal(list)
	if err != nil {
		return err
	}
	replace(resp, body)
	return nil
}

func replace(resp *http.Response, body []byte) {
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
}

func (s *Server) redirect(resp *http.Response) error {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	digest := resp.Request.URL.Path[strings.LastIndexByte(resp.Request.URL.Path, '/')+1:]
	s.mu.Lock()
	s.blobs[digest] = body
	s.mu.Unlock()
	replace(resp, nil)
	resp.StatusCode = http.StatusTemporaryRedirect
	location := "http://" + local(strings.TrimPrefix(s.bucket.URL, "http://"))
	if s.opts.Bucket != "" {
		location = "https://" + s.opts.Bucket
	}
	resp.Header.Set("Location", location+"/"+digest)
	return nil
}

// serveBlob is the bucket.
func (s *Server) serveBlob(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaked = s.leaked || r.Header.Get("Authorization") != ""
	body, ok := s.blobs[strings.TrimPrefix(r.URL.Path, "/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(body)
}
