package git

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

func FuzzParseTree(f *testing.F) {
	f.Add([]byte("100644 a\x00" + strings.Repeat("x", 20) + "40000 b\x00" + strings.Repeat("y", 20)))
	f.Add([]byte("100644 a\x00short"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries, err := parseTree(raw)
		if err != nil {
			return
		}
		var again bytes.Buffer
		for _, e := range entries {
			sha, err := hex.DecodeString(e.sha)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&again, "%s %s\x00%s", e.mode, e.name, sha)
		}
		if !strings.Contains(string(raw), " 0") && !bytes.HasPrefix(raw, []byte("0")) && len(again.Bytes()) > len(raw) {
			t.Fatalf("%q became %q", raw, again.Bytes())
		}
	})
}

func FuzzParseCommit(f *testing.F) {
	f.Add(strings.Repeat("1", 40) + "\n\nA\na@b\n1700000000\nsubject\n\nbody\n")
	f.Fuzz(func(t *testing.T, record string) {
		if c, err := parseCommit(record); err == nil && !isSHA(c.SHA) {
			t.Fatal(c)
		}
	})
}

// Whatever git or a server prints, people read one of our own sentences.
func FuzzDiagnose(f *testing.F) {
	f.Add("fatal: Authentication failed for 'https://u:p@h/x'")
	f.Add("remote: GH006\r\nerror: 500")
	ours := []string{"git stopped for a reason that is not known to tagpin"}
	for _, s := range symptoms {
		ours = append(ours, s.detail)
	}
	f.Fuzz(func(t *testing.T, printed string) {
		if e := diagnose(printed); !slices.Contains(ours, e.Detail) || e.Kind == "" {
			t.Fatal(e)
		}
		for _, result := range []PushResult{judge(printed, ""), judge("", printed)} {
			if result.Status == Updated || printed != "" && len(printed) > 60 && strings.Contains(result.Reason, printed) {
				t.Fatal(result)
			}
		}
	})
}

func TestDiagnose(t *testing.T) {
	for printed, kind := range map[string]Kind{
		"fatal: unable to access 'https://h/ssl-certificate-500.git/': The requested URL returned error: 503":                   Server,
		"fatal: unable to access 'https://h/x/': server certificate verification failed. CAfile: none CRLfile: none":            TLS,
		"remote: error: No space left on device\nfatal: unable to access 'https://h/x/': The requested URL returned error: 403": Authentication,
		"ERROR: Repository not found.\nfatal: Could not read from remote repository.":                                           NotFound,
		"git@h: Permission denied (publickey).\r\nfatal: Could not read from remote repository.":                                Authentication,
		"No ED25519 host key is known for h and you have requested strict checking.\r\nHost key verification failed.":           HostKey,
		"fatal: mismatched algorithms: client sha1; server sha256":                                                              ObjectFormat,
		"fatal: remote error: upload-pack: not our ref 1111111111111111111111111111111111111111":                                Gone,
		"error: unable to write file objects/x: No space left on device":                                                        DiskFull,
		"error: packed object 111 (stored in x.pack) is corrupt":                                                                Corrupt,
		"ssh: connect to host h port 22: Connection timed out\r\nfatal: Could not read from remote repository.":                 Network,
		"fatal: fetch-pack: invalid index-pack output":                                                                          Garbage,
		"": Program,
	} {
		if got := diagnose(printed).Kind; got != kind {
			t.Errorf("%q: %s, want %s", printed, got, kind)
		}
	}
}

func TestBounded(t *testing.T) {
	b := &bounded{max: 10}
	for range 3 {
		if n, err := io.Copy(b, strings.NewReader("1234567")); n != 7 || err != nil {
			t.Fatal(n, err)
		}
	}
	if b.String() != "1234567123" || !b.over {
		t.Errorf("%q", b.String())
	}
}
