package render

import (
	"bytes"
	"fmt"
	"net/url"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// schemas keeps the compiled values.schema.json of a chart and its subcharts, by their text. Its zero value is ready.
type schemas struct {
	mu    sync.Mutex
	known map[string]*jsonschema.Schema
}

// compile refuses a schema that refers to anything outside of itself. Helm would fetch it, from the network or from this
// machine's files, while it compiles the schema: so all are compiled here first, with a loader that loads nothing.
func (s *schemas) compile(c *chart.Chart) error {
	if c.Schema != nil {
		if _, err := s.schema(c.Schema); err != nil {
			return fmt.Errorf("values.schema.json of chart %s: %w", c.Name(), err)
		}
	}
	for _, sub := range c.Dependencies() {
		if err := s.compile(sub); err != nil {
			return err
		}
	}
	return nil
}

func (s *schemas) schema(text []byte) (*jsonschema.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.known[string(text)]; ok {
		return known, nil
	}
	compiled, err := localSchema(text)
	if err != nil {
		return nil, err
	}
	if s.known == nil {
		s.known = map[string]*jsonschema.Schema{}
	}
	s.known[string(text)] = compiled
	return compiled, nil
}

// validate checks values that compile has prepared for. Helm's own check, which compiles everything again, only says what is
// wrong.
func (s *schemas) validate(c *chart.Chart, values chartutil.Values) error {
	if s.valid(c, values) {
		return nil
	}
	if err := chartutil.ValidateAgainstSchema(c, values); err != nil {
		return fmt.Errorf("values don't meet the specifications of the schema(s) in the following chart(s):\n%w", err)
	}
	return nil
}

func (s *schemas) valid(c *chart.Chart, values map[string]any) (valid bool) {
	defer func() {
		if recover() != nil {
			valid = false // Helm makes an error of it
		}
	}()
	if c.Schema != nil {
		compiled, err := s.schema(c.Schema)
		if err != nil || compiled.Validate(chartutil.Values(values).AsMap()) != nil {
			return false
		}
	}
	for _, sub := range c.Dependencies() {
		below, there := values[sub.Name()]
		if !there || below == nil {
			continue
		}
		if m, ok := below.(map[string]any); !ok || !s.valid(sub, m) {
			return false
		}
	}
	return true
}

func localSchema(schema []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, err
	}
	const name = "file:///values.schema.json" // as Helm calls it: relative references are resolved against it
	compiler := jsonschema.NewCompiler()
	refuse := &noLoader{}
	compiler.UseLoader(refuse)
	if err := compiler.AddResource(name, doc); err != nil {
		return nil, err
	}
	compiled, err := compiler.Compile(name)
	if refuse.asked != nil {
		return nil, refuse.asked
	}
	return compiled, err
}

// A noLoader remembers what it was asked for.
type noLoader struct{ asked error }

func (l *noLoader) Load(ref string) (any, error) {
	what := "another file"
	if u, err := url.Parse(ref); err == nil {
		switch u.Scheme {
		case "urn":
			return true, nil // Helm takes an unresolved URN for a schema that allows everything
		case "http", "https":
			what = "a schema at " + u.Host
		}
	}
	l.asked = fmt.Errorf("it refers to %s, and tagpin loads nothing from outside of the chart: put the definition under $defs, "+
		"or set helm.skipSchemaValidation", what)
	return nil, l.asked
}
