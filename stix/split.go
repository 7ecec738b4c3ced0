package stix

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Piece is one object on its way into OpenCTI, in a bundle of its own.
type Piece struct {
	Object Object   // with nb_deps set and references pruned
	Deps   int      // its weight: 1 and the weights of all that it refers to
	Bundle []byte   // the one-object bundle as JSON
	Pruned []string // references that were removed
}

// Dropped is an object that cannot be sent.
type Dropped struct{ ID, Type, Reason string }

// SplitOptions say what [Split] may send.
type SplitOptions struct {
	// Cleanup removes references to objects that are not among those given. Without it they
	// stay, and the platform must know them.
	Cleanup bool
	// Keep names references that Cleanup leaves alone, as those to markings that the
	// platform has anyway ([KnownMarking]). Nil: none.
	Keep func(id string) bool
	// Supported says which types the platform takes; nil: [OpenCTITypes].
	Supported func(typ string) bool
	// EventVersion goes into every bundle as x_opencti_event_version, if not empty.
	EventVersion string
}

// ErrTooManyLevels is a chain of references that is too long to follow.
var ErrTooManyLevels = errors.New("references lead through too many objects")

// maxLevels bounds the depth of references, and so the stack.
const maxLevels = 100_000

// KnownMarking reports whether id is a TLP marking that every OpenCTI platform knows.
func KnownMarking(id string) bool {
	level, ok := MarkingTLP(id)
	return ok && id == level.MarkingID()
}

// Split cuts a bundle into single objects in the order that OpenCTI's worker expects: what
// an object refers to comes before it. It decides as OpenCTI's Python client does: of two
// objects with one id the last counts; references are followed in top-level members; those
// to unsupported types, and those that close a cycle, are removed; external references and
// kill chain phases lose their doubles; relationships and sightings that lose an end, and
// objects of types that the platform does not take, are dropped. But nothing is dropped in
// silence: each is listed with its reason.
//
// An empty bundleID is replaced by a random one.
func Split(bundleID string, objs []Object, opt SplitOptions) ([]Piece, []Dropped, error) {
	if opt.Supported == nil {
		opt.Supported = OpenCTITypes
	}
	if bundleID == "" {
		bundleID = randomID("bundle")
	}
	s := splitter{opt: opt, index: make(map[string]*node, len(objs)), path: map[string]int{}}
	nodes := make([]*node, 0, len(objs))
	for _, o := range objs {
		if o.IsZero() {
			continue
		}
		n := &node{obj: o}
		if old, ok := s.index[o.ID()]; ok && old.obj.ID() == o.ID() {
			s.dropped = append(s.dropped, Dropped{o.ID(), old.obj.Type(), "another object with the same id follows"})
		}
		n.open()
		s.index[o.ID()] = n
		for _, alias := range n.internalIDs() {
			s.index[alias] = n
		}
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		if _, err := s.enlist(n.obj.ID(), 0); err != nil {
			return nil, nil, err
		}
	}
	slices.SortStableFunc(s.sent, func(a, b *node) int { return a.weight - b.weight })
	pieces := make([]Piece, 0, len(s.sent))
	for _, n := range s.sent {
		p, err := n.piece(bundleID, opt.EventVersion)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", n.obj.ID(), err)
		}
		pieces = append(pieces, p)
	}
	return pieces, s.dropped, nil
}

// node is an object while its references are followed.
type node struct {
	obj     Object
	done    bool // in sent or dropped; its weight may still change while a cycle unwinds
	weight  int
	members []slot
	refs    map[string]bool // ids that it was found to refer to
	pruned  []string
}

type slot struct {
	name  string
	key   []byte // with quotes
	value []byte
}

// open cuts the object into its members.
func (n *node) open() {
	n.members = make([]slot, 0, 16)
	n.refs = map[string]bool{}
	raw := n.obj.Raw()
	for i := 1; i < len(raw)-1; {
		colon := behindText(raw, i)
		end := behind(raw, colon+1)
		n.members = append(n.members, slot{decoded(raw[i:colon]), raw[i:colon], raw[colon+1 : end]})
		i = end + 1
	}
}

// internalIDs are the platform's own ids of an object, under which others may refer to it.
func (n *node) internalIDs() (ids []string) {
	for i := range n.members {
		var id []byte
		switch m := &n.members[i]; m.name {
		case "x_opencti_id":
			id = m.value
		case "extensions":
			id, _ = lookup(m.value, OpenCTIExtension, "id")
		}
		if len(id) > 2 && id[0] == '"' {
			ids = append(ids, decoded(id))
		}
	}
	return ids
}

// value is the current value of a member, nil if it is missing or null.
func (n *node) value(name string) []byte {
	for i := len(n.members) - 1; i >= 0; i-- {
		if m := n.members[i]; m.name == name {
			if m.value[0] == 'n' {
				return nil
			}
			return m.value
		}
	}
	return nil
}

type splitter struct {
	opt     SplitOptions
	index   map[string]*node // by id and internal id
	path    map[string]int   // the references followed to where we are
	sent    []*node
	dropped []Dropped
}

// enlist follows the references of an object, then takes it up itself, and returns its
// weight. In a cycle it may meet an object that it is still busy with.
func (s *splitter) enlist(id string, level int) (int, error) {
	n := s.index[id]
	if n == nil {
		return 0, nil
	}
	if n.done {
		return n.weight, nil
	}
	if level > maxLevels {
		return 0, fmt.Errorf("%s: %w", id, ErrTooManyLevels)
	}
	weight := 1
	for i := range n.members {
		m := &n.members[i]
		var err error
		switch {
		case strings.HasSuffix(m.name, "_refs") && m.value[0] != 'n':
			weight, err = s.list(n, m, id, weight, level)
		case strings.HasSuffix(m.name, "_ref"):
			weight, err = s.single(n, m, id, weight, level)
		case m.name == "external_references" && m.value[0] == '[':
			m.value = distinct(m.value, externalReferenceKey)
		case m.name == "kill_chain_phases" && m.value[0] == '[':
			m.value = distinct(m.value, killChainPhaseKey)
		}
		if err != nil {
			return 0, err
		}
	}
	n.weight = weight
	if !n.done {
		n.done = true
		if reason := s.unfit(n, id); reason != "" {
			s.dropped = append(s.dropped, Dropped{n.obj.ID(), n.obj.Type(), reason})
		} else {
			s.sent = append(s.sent, n)
		}
	}
	return weight, nil
}

func (s *splitter) list(n *node, m *slot, id string, weight, level int) (int, error) {
	kept := []byte{'['}
	seen := map[string]bool{}
	if m.value[0] != '[' {
		m.value = []byte("[]")
	}
	for _, raw := range elements(m.value) {
		ref := ""
		if raw[0] == '"' {
			ref = decoded(raw)
		}
		if !s.follows(n, ref, id) {
			n.pruned = append(n.pruned, ref)
			m.value = append(kept, ']')
			continue
		}
		w, err := s.descend(n, ref, level)
		if err != nil {
			return 0, err
		}
		weight += w
		if !seen[ref] {
			seen[ref] = true
			if len(kept) > 1 {
				kept = append(kept, ',')
			}
			kept = append(kept, raw...)
		}
		// A cycle may lead back here while the list is half done: it sees this much of it.
		m.value = append(kept, ']')
	}
	return weight, nil
}

func (s *splitter) single(n *node, m *slot, id string, weight, level int) (int, error) {
	ref := ""
	if m.value[0] == '"' {
		ref = decoded(m.value)
	}
	if !s.follows(n, ref, id) {
		if m.value[0] != 'n' {
			n.pruned = append(n.pruned, ref)
		}
		m.value = []byte("null")
		return weight, nil
	}
	w, err := s.descend(n, ref, level)
	return weight + w, err
}

func (s *splitter) descend(n *node, ref string, level int) (int, error) {
	n.refs[ref] = true
	s.path[ref]++
	w, err := s.enlist(ref, level+1)
	if s.path[ref]--; s.path[ref] == 0 {
		delete(s.path, ref)
	}
	return w, err
}

// follows reports whether a reference of n, which is being visited as id, is kept.
func (s *splitter) follows(n *node, ref, id string) bool {
	target := s.index[ref]
	switch {
	case ref == "" || ref == id || s.path[ref] > 0 || !s.supported(ref):
		return false
	case target == nil:
		return !s.opt.Cleanup || s.opt.Keep != nil && s.opt.Keep(ref)
	}
	return !target.refs[id] // it already refers to this one
}

func (s *splitter) supported(id string) bool {
	typ, _, ok := strings.Cut(id, "--")
	return !ok || s.opt.Supported(typ)
}

// unfit is the reason why an object cannot be sent, empty if it can.
func (s *splitter) unfit(n *node, id string) string {
	lost := func(name string) string {
		if _, had := n.obj.Get(name); had {
			return n.obj.Type() + " without its " + name + ": the reference was removed"
		}
		return n.obj.Type() + " without " + name
	}
	switch n.obj.Type() {
	case "relationship":
		for _, end := range []string{"source_ref", "target_ref"} {
			if n.value(end) == nil {
				return lost(end)
			}
		}
	case "sighting":
		if n.value("sighting_of_ref") == nil {
			return lost("sighting_of_ref")
		}
		if len(n.value("where_sighted_refs")) <= len("[]") {
			return lost("where_sighted_refs")
		}
	default:
		if !s.supported(id) {
			typ, _, _ := strings.Cut(id, "--")
			return "unsupported type " + typ
		}
	}
	return ""
}

// distinct keeps the first of the elements with equal keys, and none without a key.
func distinct(list []byte, key func([]byte) (string, bool)) []byte {
	out := []byte{'['}
	seen := map[string]bool{}
	for _, element := range elements(list) {
		k, ok := key(element)
		if !ok || seen[k] {
			continue
		}
		seen[k] = true
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, element...)
	}
	return append(out, ']')
}

func externalReferenceKey(raw []byte) (string, bool) {
	url, _ := lookup(raw, "url")
	if url != nil && url[0] != 'n' {
		return string(url), true
	}
	source, _ := lookup(raw, "source_name")
	id, _ := lookup(raw, "external_id")
	if source == nil || id == nil || source[0] == 'n' || id[0] == 'n' {
		return "", false
	}
	return string(source) + "\n" + string(id), true
}

func killChainPhaseKey(raw []byte) (string, bool) {
	phase, _ := lookup(raw, "phase_name")
	chain, _ := lookup(raw, "kill_chain_name")
	return string(phase) + "\n" + string(chain), raw[0] == '{'
}

func (n *node) piece(bundleID, version string) (Piece, error) {
	raw := append(make([]byte, 0, len(n.obj.Raw())+24), '{')
	deps := fmt.Appendf(nil, "%d", n.weight)
	placed := false
	for i, m := range n.members {
		if i > 0 {
			raw = append(raw, ',')
		}
		raw = append(append(raw, m.key...), ':')
		if m.name == "nb_deps" {
			m.value, placed = deps, true
		}
		raw = append(raw, m.value...)
	}
	if !placed {
		raw = append(append(raw, `,"nb_deps":`...), deps...)
	}
	o, err := Parse(append(raw, '}'))
	if err != nil {
		return Piece{}, err
	}
	b := append(make([]byte, 0, len(o.Raw())+160), `{"type":"bundle","id":`...)
	b = appendText(b, bundleID)
	b = append(append(b, `,"spec_version":"2.1","x_opencti_seq":`...), deps...)
	b = append(append(b, `,"objects":[`...), o.Raw()...)
	b = append(b, ']')
	if version != "" {
		b = appendText(append(b, `,"x_opencti_event_version":`...), version)
	}
	return Piece{Object: o, Deps: n.weight, Bundle: append(b, '}'), Pruned: n.pruned}, nil
}

// randomID is a new version 4 id.
func randomID(prefix string) string {
	var sum [20]byte
	_, _ = rand.Read(sum[:16]) // never fails
	id := []byte(uuid5(prefix, sum))
	id[len(prefix)+2+14] = '4'
	return string(id)
}
