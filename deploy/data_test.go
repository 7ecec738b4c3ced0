package deploy_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestShippedDataIsWhatItsPageSays(t *testing.T) {
	page := read(t, "testdata/README.md")
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (.*) \\| .* \\| .* \\| `([0-9a-f]{64})` \\|$").FindAllStringSubmatch(page, -1)
	if len(rows) != 3 {
		t.Fatalf("%d rows with a checksum, want 3", len(rows))
	}
	for _, row := range rows {
		text := []byte(read(t, "testdata/"+row[1]))
		if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != row[3] {
			t.Errorf("%s: checksum %x, want %s", row[1], sum, row[3])
		}
		if strings.HasSuffix(row[1], ".gz") {
			z, err := gzip.NewReader(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if text, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		var bundle struct {
			Objects []struct{ Type string }
		}
		if err := json.Unmarshal(text, &bundle); err != nil {
			t.Fatal(err)
		}
		count := strconv.Itoa(len(bundle.Objects))
		if len(count) > 3 {
			count = count[:len(count)-3] + "," + count[len(count)-3:]
		}
		if row[1] == "tweetfeed.json" {
			count = "59 indicators"
			if len(bundle.Objects) != 61 {
				t.Errorf("%s: %d objects", row[1], len(bundle.Objects))
			}
		}
		if !strings.Contains(row[2], count) {
			t.Errorf("%s: the page says %q, but there are %s", row[1], row[2], count)
		}
	}
}
