package render_test

import (
	"flag"
	"runtime"
	"strconv"
	"testing"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/render"
)

var renders = flag.Int("renders", 100, "how many renders TestMemoryDoesNotGrow makes of each kind")

// What a render leaves behind does not add up: the heap after many different renders is that after a few. It counts live bytes
// after a collection, which other load on the machine does not change.
func TestMemoryDoesNotGrow(t *testing.T) {
	for name, request := range map[string]func(n string) render.Request{
		"chart": func(n string) render.Request {
			return render.Request{Root: testdata, Path: "webshop", App: render.App{Name: "shop-" + n},
				Helm: image.Helm{Values: "env: {LOG_LEVEL: \"" + n + "\"}\n"}}
		},
		"overlay": func(n string) render.Request {
			return render.Request{Root: testdata, Path: "bookshop/overlays/blue", App: render.App{Name: "shop"},
				Kustomize: image.Kustomize{NamePrefix: "p" + n + "-"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			const warm = 20
			var before uint64
			for n := range warm + *renders {
				if n == warm {
					before = liveBytes()
				}
				mustRender(t, request(strconv.Itoa(n)))
			}
			after := liveBytes()
			t.Logf("%d KiB before, %d KiB after %d renders", before>>10, after>>10, *renders)
			const room = 512 << 10
			if after > before+room {
				t.Errorf("%d renders left %d KiB behind", *renders, (after-before)>>10)
			}
		})
	}
}

func liveBytes() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
