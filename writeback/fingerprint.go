package writeback

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/tagpin/tagpin/image"
)

// Fingerprint names the state of the file that an application's pins are in, as a checkout has it: equal ones hold the same. It
// is empty where the checkout can't tell.
func Fingerprint(root *os.Root, u image.Update) string {
	t, err := targetOf(u)
	if err != nil || u.Options.WriteBack.Repository != "" {
		return ""
	}
	h := sha256.New()
	files := t.readFrom(root)
	for _, name := range t.candidates() {
		fmt.Fprintf(h, "%q %t %d\n", name, files[name].Exists, len(files[name].Bytes))
		h.Write(files[name].Bytes)
	}
	return hex.EncodeToString(h.Sum(nil))
}
