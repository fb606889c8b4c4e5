package render

import (
	"bytes"
	"fmt"
	"net/url"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"helm.sh/helm/v3/pkg/chart"
)

// localSchemas refuses a values.schema.json that refers to anything outside of itself. Helm would fetch it, from the network
// or from this machine's files, while it compiles the schema: so it is compiled here first, with a loader that loads nothing.
func localSchemas(c *chart.Chart) error {
	if c.Schema != nil {
		if err := localSchema(c.Schema); err != nil {
			return fmt.Errorf("values.schema.json of chart %s: %w", c.Name(), err)
		}
	}
	for _, sub := range c.Dependencies() {
		if err := localSchemas(sub); err != nil {
			return err
		}
	}
	return nil
}

func localSchema(schema []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return err
	}
	const name = "file:///values.schema.json" // as Helm calls it: relative references are resolved against it
	compiler := jsonschema.NewCompiler()
	refuse := &noLoader{}
	compiler.UseLoader(refuse)
	if err := compiler.AddResource(name, doc); err != nil {
		return err
	}
	_, err = compiler.Compile(name)
	if refuse.asked != nil {
		return refuse.asked
	}
	return err
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
