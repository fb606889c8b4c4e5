package metrics

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// promtool is Prometheus's own checker: of PATH, or what make deps puts beside the other programs.
func promtool(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("promtool"); err == nil {
		return path
	}
	path, err := filepath.Abs("../.bin/promtool")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("promtool is missing: make deps fetches it (%v)", err)
	}
	return path
}

func runPromtool(t *testing.T, dir, input string, args ...string) {
	t.Helper()
	cmd := exec.Command(promtool(t), args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// A ruleFile is one of Prometheus itself, and what a PrometheusRule holds.
type ruleFile struct {
	Groups []ruleGroup `yaml:"groups"`
}

type ruleGroup struct {
	Name  string `yaml:"name"`
	Rules []rule `yaml:"rules"`
}

type rule struct {
	Alert       string            `yaml:"alert,omitempty"`
	Record      string            `yaml:"record,omitempty"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

func (f ruleFile) write(t *testing.T, path string) {
	t.Helper()
	data, err := yaml.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func alerts(t *testing.T) ruleFile {
	t.Helper()
	var object struct {
		Kind string   `yaml:"kind"`
		Spec ruleFile `yaml:"spec"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "../deploy/monitoring/prometheus-rule.yaml")), &object); err != nil {
		t.Fatal(err)
	}
	if object.Kind != "PrometheusRule" || len(object.Spec.Groups) == 0 {
		t.Fatalf("%+v is no PrometheusRule with rules", object)
	}
	return object.Spec
}

// panels are the queries of the dashboard by the title of their panel, with Grafana's variables filled in.
func panels(t *testing.T) map[string][]string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Type, Title string
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "../deploy/monitoring/dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	queries := map[string][]string{}
	for _, p := range dashboard.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("the panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			queries[p.Title] = append(queries[p.Title], strings.ReplaceAll(target.Expr, "$__rate_interval", "5m"))
		}
	}
	return queries
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func all(t *testing.T) *Metrics {
	t.Helper()
	return complete(&loop{}, newRegistries())
}

// The names and types keep to Prometheus's conventions.
func TestNamesAreConventional(t *testing.T) {
	m := all(t)
	m.Render(Render{Job: "manifests"})
	runPromtool(t, ".", scrape(t, m), "check", "metrics")
}

func TestAlerts(t *testing.T) {
	dir := t.TempDir()
	alerts(t).write(t, filepath.Join(dir, "rules.yaml"))
	if err := os.WriteFile(filepath.Join(dir, "alerts.yaml"), []byte(read(t, "testdata/alerts.yaml")), 0o600); err != nil {
		t.Fatal(err)
	}
	runPromtool(t, dir, "", "check", "rules", "rules.yaml")
	runPromtool(t, dir, "", "test", "rules", "alerts.yaml")
}

// Every query is valid PromQL, and every metric and label value in it exists.
func TestQueriesFitTheMetrics(t *testing.T) {
	m := all(t)
	queries := panels(t)
	if len(queries) < 15 {
		t.Errorf("the dashboard has %d panels", len(queries))
	}
	file := ruleFile{Groups: []ruleGroup{{Name: "panels"}}}
	for title, exprs := range queries {
		for _, expr := range exprs {
			checkQuery(t, m, title, expr)
			file.Groups[0].Rules = append(file.Groups[0].Rules, rule{Record: fmt.Sprintf("panel:n%d", len(file.Groups[0].Rules)), Expr: expr})
		}
	}
	dir := t.TempDir()
	file.write(t, filepath.Join(dir, "panels.yaml"))
	runPromtool(t, dir, "", "check", "rules", "panels.yaml")
	for _, g := range alerts(t).Groups {
		for _, r := range g.Rules {
			checkQuery(t, m, r.Alert, r.Expr)
		}
	}
}

var (
	named   = regexp.MustCompile(`tagpin_[a-z_]+`)
	chosen  = regexp.MustCompile(`(\w+)\s*(?:=~|!=|=|!~)\s*"([^"]*)"`)
	grouped = regexp.MustCompile(`by \(([^)]*)\)`)
)

// checkQuery finds the metrics of a query in the catalog, and its labels among those of the metrics.
func checkQuery(t *testing.T, m *Metrics, where, expr string) {
	t.Helper()
	labels := []string{"le", "instance"}
	for _, name := range named.FindAllString(expr, -1) {
		i := slices.IndexFunc(m.Catalog(), func(known Metric) bool { return slices.Contains(known.series(), name) })
		if i < 0 {
			t.Errorf("%s: there is no metric %s", where, name)
			continue
		}
		labels = append(labels, m.Catalog()[i].Labels...)
	}
	for _, c := range chosen.FindAllStringSubmatch(expr, -1) {
		if !slices.Contains(labels, c[1]) {
			t.Errorf("%s: no metric in %s has the label %s", where, expr, c[1])
		}
		for value := range strings.SplitSeq(c[2], "|") {
			if !slices.Contains(values(), value) {
				t.Errorf("%s: no label has the value %q", where, value)
			}
		}
	}
	for _, g := range grouped.FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(g[1], ",") {
			if label = strings.TrimSpace(label); !slices.Contains(labels, label) {
				t.Errorf("%s: no metric in %s has the label %s", where, expr, label)
			}
		}
	}
}

// series are the names under which Prometheus stores a metric.
func (m Metric) series() []string {
	if m.Kind == Histogram {
		return []string{m.Name + "_bucket", m.Name + "_sum", m.Name + "_count"}
	}
	return []string{m.Name}
}

// documented is the part of docs/operations.md under a heading.
func documented(t *testing.T, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(read(t, "../docs/operations.md"), "\n"+heading+"\n")
	if !found {
		t.Fatalf("docs/operations.md has no %q", heading)
	}
	part, _, _ := strings.Cut(rest, "\n## ")
	return part
}

// values are the label values that docs/operations.md lists, each in backquotes.
func values() []string {
	data, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		return nil // then none is found
	}
	var all []string
	for _, v := range regexp.MustCompile("`([a-z][a-z-]*)`").FindAllStringSubmatch(string(data), -1) {
		all = append(all, v[1])
	}
	return all
}

// The table of metrics in the documentation is the catalog, and the table of alerts lists all.
func TestDocumentation(t *testing.T) {
	text := documented(t, "## Metrics")
	for _, m := range all(t).Catalog() {
		row := fmt.Sprintf("| `%s` | %s | %s | %s |", m.Name, m.Kind, strings.Join(m.Labels, ", "), m.Help)
		if !strings.Contains(text, "\n"+row+"\n") {
			t.Errorf("docs/operations.md lacks the line\n%s", row)
		}
	}
	for _, name := range named.FindAllString(text, -1) {
		if !slices.ContainsFunc(all(t).Catalog(), func(m Metric) bool { return m.Name == name }) {
			t.Errorf("docs/operations.md tells of %s, which doesn't exist", name)
		}
	}
	text = documented(t, "## Alerts")
	for _, g := range alerts(t).Groups {
		for _, r := range g.Rules {
			if !strings.Contains(text, "\n| `"+r.Alert+"` |") {
				t.Errorf("docs/operations.md doesn't say what to do about %s", r.Alert)
			}
		}
	}
}
