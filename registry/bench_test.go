package registry_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/registry"
)

// BenchmarkWarmTags is what the registry costs a render whose tag list is cached: 300 tags, no request.
func BenchmarkWarmTags(b *testing.B) {
	var list strings.Builder
	for i := range 300 {
		if i > 0 {
			list.WriteString(",")
		}
		list.WriteString(`"v1.0.` + strconv.Itoa(i) + `"`)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"tags":[`+list.String()+`]}`)
	}))
	defer s.Close()
	conf := filepath.Join(b.TempDir(), "registries.conf")
	text := "registries:\n- {name: t, prefix: t.example, insecure: true, api_url: '" + s.URL + "'}\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	regs, err := registry.New(registry.Options{ConfPath: conf, CacheTTL: 1 << 40, Log: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	once := func() {
		r, err := regs.Repository(b.Context(), image.Application{}, entry("t.example", "team/app"))
		if err != nil {
			b.Fatal(err)
		}
		if tags, err := r.Tags(b.Context()); err != nil || len(tags) != 300 {
			b.Fatal(len(tags), err)
		}
	}
	once()
	before := regs.Requests()
	b.ReportAllocs()
	for b.Loop() {
		once()
	}
	b.ReportMetric(float64(regs.Requests()-before), "requests")
}
