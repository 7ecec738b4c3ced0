package stix

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/stix"
)

// survey is what the first look at a document found.
type survey struct {
	format    string
	bundle    string // id of the bundle, which may stand behind its objects
	digest    string // SHA-256 of the document's bytes, before decompression
	elements  int
	malformed int
	repeated  int   // elements that another one of the same id stands for
	more      bool  // a TAXII envelope that says there is more
	broken    error // why the reading ended before the end

	seed  maphash.Seed
	ids   []uint64           // hashes of all ids, sorted
	stand map[string]version // of each id that occurs more than once, the one that counts
}

// version is one of several elements with the same id.
type version struct {
	modified int64 // Unix nanoseconds; math.MinInt64 where there is none
	index    int
}

// holds reports whether the document has an object of this id. Two ids in 2^64 look alike: an object may then stay that should go.
func (s *survey) holds(id string) bool {
	_, ok := slices.BinarySearch(s.ids, maphash.String(s.seed, id))
	return ok
}

// incomplete says why the document must not be taken for the whole truth.
func (s *survey) incomplete() string {
	switch {
	case s.broken != nil:
		return s.broken.Error()
	case s.malformed > 0:
		return fmt.Sprintf("%d elements are malformed", s.malformed)
	case s.more:
		return "the envelope says that there is more"
	}
	return ""
}

// superseded reports whether another element with the same id counts instead of this one.
func (s *survey) superseded(e stix.Element) bool {
	v, ok := s.stand[e.Object.ID()]
	return ok && v.index != e.Index
}

// look reads the document once without publishing. Input that cannot be read to its end is no error here: see broken.
func look(ctx context.Context, doc *document, run *bridge.Run) (*survey, error) {
	s := &survey{seed: maphash.MakeSeed()}
	sum := sha256.New()
	wire := &mortal{ctx, io.TeeReader(doc.file, sum)}
	s.broken = each(wire, func(r *stix.Reader, e stix.Element) error {
		s.elements++
		if e.Err != nil {
			s.malformed++
			return nil
		}
		s.ids = append(s.ids, maphash.String(s.seed, e.Object.ID()))
		if e.Object.Type() == "marking-definition" {
			run.Learn(e.Object)
		}
		return nil
	}, func(r *stix.Reader) {
		s.format, s.bundle = r.Format(), r.Bundle()
		_, s.more = r.More()
	})
	if _, err := io.Copy(io.Discard, wire); err != nil && s.broken == nil { // what stands behind the end belongs to the digest
		s.broken = err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s.broken = explain(doc, s.broken)
	s.digest = hex.EncodeToString(sum.Sum(nil))
	slices.Sort(s.ids)
	if err := s.settle(ctx, doc); err != nil {
		return nil, err
	}
	return s, doc.rewind()
}

// settle finds which of several elements with one id counts: that with the newest modified, of equals the last. It reads again,
// but only when there are any.
func (s *survey) settle(ctx context.Context, doc *document) error {
	twice := map[uint64]bool{}
	for i := 1; i < len(s.ids); i++ {
		if s.ids[i] == s.ids[i-1] {
			twice[s.ids[i]] = true
		}
	}
	s.ids = slices.Compact(s.ids)
	if len(twice) == 0 {
		return nil
	}
	if err := doc.rewind(); err != nil {
		return err
	}
	s.stand = map[string]version{}
	_ = each(&mortal{ctx, doc.file}, func(_ *stix.Reader, e stix.Element) error { // a break was seen before
		if e.Err != nil || !twice[maphash.String(s.seed, e.Object.ID())] {
			return nil
		}
		v := version{modified: when(e.Object.Modified()), index: e.Index}
		old, known := s.stand[e.Object.ID()]
		if known {
			s.repeated++
		}
		if !known || v.modified >= old.modified {
			s.stand[strings.Clone(e.Object.ID())] = v // the id is a part of the object's bytes
		}
		return nil
	}, func(*stix.Reader) {})
	return context.Cause(ctx)
}

func when(modified string) int64 {
	t, err := time.Parse(time.RFC3339Nano, modified)
	if err != nil {
		return math.MinInt64
	}
	return t.UnixNano()
}

// each calls f for every element and end after the last; it returns nil at a complete end.
func each(r io.Reader, f func(*stix.Reader, stix.Element) error, end func(*stix.Reader)) error {
	plain, err := stix.Open(r)
	if err != nil {
		return err
	}
	defer plain.Close()
	reader := stix.NewReader(plain)
	defer end(reader)
	for {
		e, err := reader.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = f(reader, e)
		}
		if err != nil {
			return err
		}
	}
}

// explain adds to an error of reading what a person needs.
func explain(doc *document, err error) error {
	if err == nil {
		return nil
	}
	head := make([]byte, 512)
	n, _ := doc.file.ReadAt(head, 0)
	if head = bytes.TrimLeft(head[:n], "\xef\xbb\xbf \t\r\n"); bytes.HasPrefix(head, []byte("<")) {
		return fmt.Errorf("%s is an HTML or XML page, not STIX JSON: is the address right, and does it want a login?", doc.name)
	}
	if errors.As(err, new(*stix.SyntaxError)) {
		return fmt.Errorf("%s is not complete, well-formed JSON: %w", doc.name, err)
	}
	return fmt.Errorf("%s: %w", doc.name, err)
}
