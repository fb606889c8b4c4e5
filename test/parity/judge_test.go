package parity

import "testing"

// The runner finds what differs, and leaves out only what native itself makes anew.
func TestDifference(t *testing.T) {
	const (
		a      = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"1","r":"x"}}`
		aAgain = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"1","r":"y"}}`
		aOther = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"2","r":"z"}}`
		aThird = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"1","r":"z"}}`
		aMore  = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"1","r":"z","s":""}}`
		aLess  = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"1"}}`
		b      = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b-1"},"spec":{"x":true}}`
		bAgain = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b-2"},"spec":{"x":true}}`
		bThird = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b-3"},"spec":{"x":true}}`
		bOther = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b-3"},"spec":{"x":false}}`
	)
	for name, c := range map[string]struct {
		native, again, tagpin []string
		equal                 bool
	}{
		"same":                        {[]string{a, b}, nil, []string{a, b}, true},
		"nothing":                     {nil, nil, nil, true},
		"a value":                     {[]string{a}, nil, []string{aAgain}, false},
		"the order":                   {[]string{a, b}, nil, []string{b, a}, false},
		"an order that changes":       {[]string{a, b}, []string{b, a}, []string{b, a}, true},
		"one is missing":              {[]string{a, b}, nil, []string{a}, false},
		"one too many":                {[]string{a}, nil, []string{a, b}, false},
		"twice the same":              {[]string{a, a}, nil, []string{a}, false},
		"a random value":              {[]string{a}, []string{aAgain}, []string{aThird}, true},
		"a value beside a random one": {[]string{a}, []string{aAgain}, []string{aOther}, false},
		"a key beside a random one":   {[]string{a}, []string{aAgain}, []string{aMore}, false},
		"no random value":             {[]string{a}, []string{aAgain}, []string{aLess}, false},
		"a random name":               {[]string{a, b}, []string{a, bAgain}, []string{a, bThird}, true},
		"a value under a random name": {[]string{a, b}, []string{a, bAgain}, []string{a, bOther}, false},
		"missing under a random name": {[]string{a, b}, []string{a, bAgain}, []string{a}, false},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := objects(c.native)
			if err != nil {
				t.Fatal(err)
			}
			s := standard{objects: list}
			if c.again != nil {
				if err := s.again(c.again); err != nil {
					t.Fatal(err)
				}
			}
			diff, err := s.difference(c.tagpin)
			if err != nil {
				t.Fatal(err)
			}
			if (diff == "") != c.equal {
				t.Errorf("difference: %q", diff)
			}
		})
	}
}

// Random values, the time and certificates are no difference between the two.
func TestFreshValues(t *testing.T) {
	b := start(t)
	dir := t.TempDir()
	unpack(t, dir)
	if r := b.application(t.Context(), dir, "fresh"); r.outcome != equal || r.detail == "" {
		t.Errorf("%s: %s", r.outcome, r.detail)
	}
}
