package engine

import (
	"fmt"
	"reflect"
	"regexp"
	"text/template"
)

// freshNames are the functions that give something else each time, or can: of the clock, random, or a new key.
var freshNames = []string{
	"now", "ago", "date", "date_in_zone", "dateInZone", "htmlDate", "htmlDateInZone", "durationRound",
	"randAlphaNum", "randAlpha", "randAscii", "randNumeric", "randInt", "randBytes", "shuffle", "uuidv4",
	"bcrypt", "htpasswd", "encryptAES", "genPrivateKey",
	"genCA", "genCAWithKey", "genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey",
}

// functions are those that a run has for itself: they look for templates in its set, or are to be noticed.
func (r *run) functions() template.FuncMap {
	all := scope{r, r.set}
	f := template.FuncMap{"include": all.include, "tpl": all.tpl}
	known := sprigFunctions()
	for _, name := range freshNames {
		f[name] = r.noticed(reflect.ValueOf(known[name]))
	}
	r.printing(f, known)
	return f
}

// noticed is a function that marks the run as fresh when it is called.
func (r *run) noticed(f reflect.Value) any {
	call := f.Call
	if f.Type().IsVariadic() {
		call = f.CallSlice
	}
	return reflect.MakeFunc(f.Type(), func(args []reflect.Value) []reflect.Value {
		r.fresh = true
		return call(args)
	}).Interface()
}

// printing replaces the functions that make text of any value. Of a pointer it is the address, which differs from run to run:
// of the chart's maintainers and dependencies, or of all values where a format says so.
func (r *run) printing(f, known template.FuncMap) {
	for _, name := range []string{"quote", "squote", "cat"} {
		plain, _ := known[name].(func(...any) string)
		f[name] = func(args ...any) string { r.look(args...); return plain(args...) }
	}
	for name, plain := range map[string]func(...any) string{
		"print": fmt.Sprint, "println": fmt.Sprintln,
		"html": template.HTMLEscaper, "js": template.JSEscaper, "urlquery": template.URLQueryEscaper,
	} {
		f[name] = func(args ...any) string { r.look(args...); return plain(args...) }
	}
	for _, name := range []string{"toStrings", "sortAlpha"} {
		plain, _ := known[name].(func(any) []string)
		f[name] = func(arg any) []string { r.look(arg); return plain(arg) }
	}
	text, _ := known["toString"].(func(any) string)
	f["toString"] = func(arg any) string { r.look(arg); return text(arg) }
	join, _ := known["join"].(func(string, any) string)
	f["join"] = func(separator string, arg any) string { r.look(arg); return join(separator, arg) }
	f["printf"] = func(format string, args ...any) string {
		r.look(args...)
		r.fresh = r.fresh || pointerVerb.MatchString(format)
		return fmt.Sprintf(format, args...)
	}
	dict, _ := known["dict"].(func(...any) map[string]any)
	f["dict"] = func(args ...any) map[string]any {
		for i := 0; i < len(args); i += 2 {
			r.look(args[i])
		}
		return dict(args...)
	}
}

// address is how a pointer into Go's heap looks, where a template prints it without a function.
var address = regexp.MustCompile(`0x[0-9a-f]{9,12}\b`)

var pointerVerb = regexp.MustCompile(`%[^a-zA-Z%]*p`)

// look marks the run as fresh if a value can hold a pointer.
func (r *run) look(values ...any) {
	for _, v := range values {
		switch v := v.(type) {
		case nil, string, bool, int, int64, float64, []string, []byte:
		case []any:
			r.look(v...)
		case map[string]any:
			for _, below := range v {
				r.look(below)
			}
		default:
			kind := reflect.TypeOf(v).Kind()
			r.fresh = r.fresh || kind > reflect.Complex128 && kind != reflect.String // what is made of other values
		}
	}
}
