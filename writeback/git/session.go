package git

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The bare repositories of a cache. Commit messages live apart: negotiation tells the server "I have this commit with all its
// trees", and that is true of every commit in one of them only.
const (
	treeDir    = "tree.git"
	historyDir = "history.git"
	remoteName = "origin"
	// endOfOptions keeps what follows from being taken for an option.
	endOfOptions = "--end-of-options"
)

// A session is the time during which a call holds the cache's lock. Key files exist only as long.
type session struct {
	r      *Repository
	lock   *os.File
	config [][2]string
	env    []string // holds config as well
}

// open prepares the cache directory and the environment of the git processes.
func (r *Repository) open(ctx context.Context, lock *os.File) (*session, error) {
	s := &session{r: r, lock: lock}
	s.sweep()
	for _, sub := range []string{"secret", "home", "tmp"} {
		if err := os.MkdirAll(filepath.Join(r.dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	if err := s.environment(ctx); err != nil {
		s.close()
		return nil, err
	}
	if err := s.initialise(ctx); err != nil {
		s.close()
		return nil, err
	}
	now := time.Now()
	return s, os.Chtimes(r.dir, now, now) // what was not used for longest is evicted first
}

// initialise makes those bare repositories that are not there.
func (s *session) initialise(ctx context.Context) error {
	for _, sub := range []string{treeDir, historyDir} {
		dir := filepath.Join(s.r.dir, sub)
		if _, err := os.Stat(filepath.Join(dir, "HEAD")); err == nil {
			continue
		}
		if _, err := s.git(ctx, sub, nil, "init", "-q", "--bare", "--template=", "--object-format=sha1", dir); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) close() { _ = os.RemoveAll(filepath.Join(s.r.dir, "secret")) }

// sweep removes what a killed process left behind. Nobody else works here: the session holds the lock.
func (s *session) sweep() {
	s.close()
	_ = os.RemoveAll(filepath.Join(s.r.dir, "tmp"))
	for _, sub := range []string{treeDir, historyDir} {
		_ = filepath.WalkDir(filepath.Join(s.r.dir, sub), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil
			}
			if name := d.Name(); strings.HasSuffix(name, ".lock") || strings.HasPrefix(name, "tmp_") || strings.HasPrefix(name, ".tmp-") {
				_ = os.Remove(path) //nolint:gosec // below the cache, which is this user's alone
			}
			return nil
		})
	}
}

// environment builds all that git processes see, from nothing. Secrets are in it or in files below secret/, never in arguments.
func (s *session) environment(ctx context.Context) error {
	r := s.r
	protocols := "https:ssh"
	if r.options.AllowHTTP {
		protocols += ":http"
	}
	if r.options.AllowFile {
		protocols += ":file"
	}
	s.env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=UTC",
		"HOME=" + filepath.Join(r.dir, "home"), "TMPDIR=" + filepath.Join(r.dir, "tmp"),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_NO_REPLACE_OBJECTS=1",
		"GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=" + protocols,
	}
	s.config = [][2]string{
		{"remote." + remoteName + ".url", r.address.given},
		{"core.hooksPath", "/dev/null"}, {"core.fsmonitor", "false"}, {"core.askPass", ""}, {"credential.helper", ""},
		{"protocol.version", "2"}, {"transfer.fsckObjects", "true"}, {"transfer.bundleURI", "false"}, {"fetch.uriProtocols", ""},
		{"submodule.recurse", "false"}, {"gc.auto", "0"}, {"maintenance.auto", "false"}, {"safe.directory", "*"},
		{"log.mailmap", "false"}, {"log.showSignature", "false"}, {"commit.gpgSign", "false"}, {"i18n.commitEncoding", "UTF-8"},
		// Memory: few threads, small windows, and large files are streamed.
		{"core.bigFileThreshold", "1m"}, {"core.packedGitWindowSize", "1m"}, {"core.packedGitLimit", "16m"},
		{"core.deltaBaseCacheLimit", "4m"}, {"pack.threads", "1"}, {"pack.windowMemory", "4m"}, {"pack.deltaCacheSize", "1m"},
		{"pack.allowPackReuse", "false"}, {"repack.writeBitmaps", "false"},
	}
	transport, err := s.transport(ctx)
	if err != nil {
		return err
	}
	s.config = append(s.config, transport...)
	s.env = append(s.env, configuration(s.config)...)
	return nil
}

// configuration hands settings over in the environment: nothing of it is in the process list or on disk.
func configuration(settings [][2]string) []string {
	env := []string{"GIT_CONFIG_COUNT=" + strconv.Itoa(len(settings))}
	for i, setting := range settings {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, setting[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, setting[1]))
	}
	return env
}

// transport gives the settings of HTTP or SSH.
func (s *session) transport(ctx context.Context) ([][2]string, error) {
	r := s.r
	if r.address.scheme == "ssh" {
		return s.ssh()
	}
	config := [][2]string{
		{"http.followRedirects", "false"}, {"http.sslVerify", "true"}, {"http.proxy", r.remote.Proxy}, {"http.cookieFile", ""}, {"http.emptyAuth", "false"},
	}
	if len(r.remote.CA) > 0 {
		file, err := s.secret("ca.pem", r.remote.CA)
		if err != nil {
			return nil, err
		}
		config = append(config, [2]string{"http.sslCAInfo", file})
	}
	user, password := r.remote.Credentials.Username, r.remote.Credentials.Password
	if user == "" {
		user = r.address.user
	}
	if r.token != nil {
		token, err := r.token.get(ctx)
		if err != nil {
			return nil, err
		}
		user, password = "x-access-token", token
	}
	if password != "" {
		basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
		config = append(config, [2]string{"http." + r.address.given + ".extraHeader", "Authorization: Basic " + basic})
	}
	return config, nil
}

func (s *session) ssh() ([][2]string, error) {
	c := s.r.remote.Credentials
	key, err := s.secret("key", append(bytes.TrimSpace(c.SSHPrivateKey), '\n'))
	if err != nil {
		return nil, err
	}
	hosts, err := s.secret("known_hosts", s.r.remote.KnownHosts)
	if err != nil {
		return nil, err
	}
	options := []string{
		"ssh", "-F", "/dev/null", "-i", shellQuote(key), "-T", "-x", "-a",
	}
	for _, o := range []string{
		"BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none", "StrictHostKeyChecking=yes", `UserKnownHostsFile="` + hosts + `"`,
		"GlobalKnownHostsFile=/dev/null", "UpdateHostKeys=no", "VerifyHostKeyDNS=no", "PreferredAuthentications=publickey",
		"PermitLocalCommand=no", "ProxyCommand=none", "ControlMaster=no", "ControlPath=none", "ConnectTimeout=15", "ServerAliveInterval=15",
		"LogLevel=ERROR",
	} {
		options = append(options, "-o", shellQuote(o))
	}
	s.env = append(s.env, "GIT_SSH_COMMAND="+strings.Join(options, " "), "GIT_SSH_VARIANT=ssh")
	return nil, nil
}

func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// secret writes a file that only this user can read and that is gone when the session ends.
func (s *session) secret(name string, content []byte) (string, error) {
	path := filepath.Join(s.r.dir, "secret", name)
	return path, os.WriteFile(path, content, 0o600)
}

// maxOutput bounds what is read of one git process: trees of 20,000 entries take about 1 MB.
const maxOutput = 64 << 20

// git runs one process in a bare repository of the cache and returns what it printed.
func (s *session) git(ctx context.Context, sub string, in io.Reader, args ...string) ([]byte, error) {
	out, _, err := s.run(ctx, sub, in, args...)
	return out, err
}

// run is git with the standard error too, for those who look for a warning in it.
func (s *session) run(ctx context.Context, sub string, in io.Reader, args ...string) ([]byte, string, error) {
	out, printed := &bounded{max: maxOutput}, &bounded{max: 16 << 10}
	cmd := s.command(ctx, sub, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, printed
	err := cmd.Run()
	s.ended(cmd)
	if err == nil && out.over {
		return nil, "", &Error{Kind: TooBig, Remote: s.r.address.shown, Detail: "git answered with more than 64 MB"}
	}
	err = s.failure(ctx, err, printed.String())
	if err != nil && readsCache(args[0]) {
		err = s.damaged(err)
	}
	return out.buffer.Bytes(), printed.String(), err
}

// readsCache says whether a command works with the cache alone.
func readsCache(command string) bool {
	switch command {
	case "cat-file", "checkout-index", "for-each-ref", "hash-object", "log", "ls-tree", "mktree", "prune", "read-tree", "repack", "rev-list", "update-ref":
		return true
	}
	return false
}

// damaged is the error of a command that works with the cache alone: unless time or disk ran out, something is wrong with it.
func (s *session) damaged(err error) error {
	switch KindOf(err) {
	case DiskFull, Timeout, Canceled:
		return err
	}
	return &Error{Kind: Corrupt, Remote: s.r.address.shown, Detail: corruptDetail}
}

// command prepares a process in a group of its own, which is killed as a whole when ctx ends.
func (s *session) command(ctx context.Context, sub string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.r.program, args...) //nolint:gosec // arguments are fixed, checked or object names; no shell
	cmd.Env = append([]string{"GIT_DIR=" + filepath.Join(s.r.dir, sub)}, s.env...)
	cmd.Dir = s.r.dir
	cmd.SysProcAttr = processAttributes()
	cmd.ExtraFiles = []*os.File{s.lock} // whoever outlives this process keeps the cache locked
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

func (s *session) ended(cmd *exec.Cmd) {
	if s.r.options.OnExit != nil && cmd.ProcessState != nil {
		s.r.options.OnExit(cmd.Args[1], cmd.ProcessState)
	}
}

// failure makes an Error of how a process ended.
func (s *session) failure(ctx context.Context, err error, printed string) error {
	if err == nil {
		return nil
	}
	var e *Error
	var exit *exec.ExitError
	switch cause := context.Cause(ctx); {
	case errors.As(cause, &e):
		e = &Error{Kind: e.Kind, Detail: e.Detail}
	case cause != nil:
		e = osError(cause)
	case errors.As(err, &exit), printed != "":
		e = diagnose(printed)
	default:
		e = osError(err)
	}
	e.Remote = s.r.address.shown
	return e
}

// bounded keeps the first max bytes and drops the rest. The buffer is not embedded: its ReadFrom would know no bound.
type bounded struct {
	buffer bytes.Buffer
	max    int
	over   bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := b.max - b.buffer.Len()
	b.over = b.over || len(p) > room
	b.buffer.Write(p[:min(len(p), room)])
	return len(p), nil
}

func (b *bounded) String() string { return b.buffer.String() }
