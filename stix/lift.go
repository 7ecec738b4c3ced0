package stix

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// vocabularies are the words of STIX 2.0's labels that have a property of their own in 2.1.
var vocabularies = map[string]struct {
	property string
	words    []string
}{
	"indicator":    {"indicator_types", strings.Fields("anomalous-activity anonymization benign compromised malicious-activity attribution")},
	"malware":      {"malware_types", strings.Fields("adware backdoor bot ddos dropper exploit-kit keylogger ransomware remote-access-trojan resource-exploitation rogue-security-software rootkit screen-capture spyware trojan virus worm")},
	"report":       {"report_types", strings.Fields("threat-report attack-pattern campaign identity indicator malware observed-data threat-actor tool vulnerability")},
	"threat-actor": {"threat_actor_types", strings.Fields("activist competitor crime-syndicate criminal hacker insider-accidental insider-disgruntled nation-state sensationalist spy terrorist")},
	"tool":         {"tool_types", strings.Fields("denial-of-service exploitation information-gathering network-capture credential-exploitation remote-access vulnerability-scanning")},
}

// Lift makes STIX 2.1 out of a STIX 2.0 object; one that is 2.1 already, or an observable,
// comes back as it is. The first of the result is the object; behind it stand the
// observables that a 2.0 observed-data held within itself, now with ids of their own.
//
// Labels that are words of the 2.0 vocabularies move to the property that 2.1 has for them,
// labels that only repeat the type go, all others stay. Malware becomes a family, patterns
// become STIX patterns.
func Lift(o Object) ([]Object, error) {
	if o.h == nil {
		return nil, ErrNotObject
	}
	_, created := o.Get("created")
	if v := o.SpecVersion(); v != "2.0" && (v != "" || !created) {
		return []Object{o}, nil
	}
	l := lifting{list: final(o.h.raw)}
	l.drop("spec_version")
	at := slices.IndexFunc(l.list, func(m named) bool { return m.name == "type" })
	l.list = slices.Insert(l.list, at+1, named{"spec_version", []byte(`"2.1"`)})
	l.labels(o.Type())
	var more []Object
	var err error
	switch o.Type() {
	case "malware":
		l.add("is_family", []byte("true"))
	case "indicator":
		l.add("pattern_type", []byte(`"stix"`))
	case "identity":
		// Some write the class as a list of one.
		if class := l.get("identity_class"); class != nil && class[0] == '[' {
			for _, first := range elements(class) {
				l.set("identity_class", first)
				break
			}
		}
	case "observed-data":
		more, err = l.observables(o.ID())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.ID(), err)
	}
	lifted, err := l.object()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.ID(), err)
	}
	return append([]Object{lifted}, more...), nil
}

// lifting is an object while it is changed.
type lifting struct{ list []named }

func (l *lifting) get(name string) []byte {
	for _, m := range l.list {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

func (l *lifting) set(name string, value []byte) {
	for i := range l.list {
		if l.list[i].name == name {
			l.list[i].value = value
			return
		}
	}
	l.list = append(l.list, named{name, value})
}

// add sets a member unless there is one.
func (l *lifting) add(name string, value []byte) {
	if l.get(name) == nil {
		l.set(name, value)
	}
}

func (l *lifting) drop(names ...string) {
	l.list = slices.DeleteFunc(l.list, func(m named) bool { return slices.Contains(names, m.name) })
}

func (l *lifting) rename(old, new string) {
	for i := range l.list {
		if l.list[i].name == old && l.get(new) == nil {
			l.list[i].name = new
		}
	}
}

func (l *lifting) object() (Object, error) {
	var raw []byte
	for _, m := range l.list {
		raw = appendMember(raw, m.name, m.value)
	}
	return Parse(append(raw, '}'))
}

// labels moves words of the vocabulary to their own property.
func (l *lifting) labels(typ string) {
	v, ok := vocabularies[typ]
	labels := l.get("labels")
	if !ok || labels == nil || labels[0] != '[' {
		return
	}
	var words, rest []byte
	appendTo := func(list, value []byte) []byte {
		if list == nil {
			list = []byte{'['}
		} else {
			list = append(list, ',')
		}
		return append(list, value...)
	}
	for _, label := range elements(labels) {
		switch word := ownText(label); {
		case word == typ && typ != "report":
		case slices.Contains(v.words, word):
			words = appendTo(words, label)
		default:
			rest = appendTo(rest, label)
		}
	}
	if words != nil {
		l.add(v.property, append(words, ']'))
	}
	if rest == nil {
		l.drop("labels")
	} else {
		l.set("labels", append(rest, ']'))
	}
}

// observables makes objects of their own out of the dictionary of an observed-data.
func (l *lifting) observables(parent string) ([]Object, error) {
	dict := l.get("objects")
	if dict == nil || dict[0] != '{' || len(dict) == 2 {
		return nil, nil
	}
	f := family{parent: parent, raw: map[string][]byte{}, ids: map[string]string{}}
	var keys []string
	for _, m := range final(dict) {
		if m.value[0] == '{' {
			keys = append(keys, m.name)
			f.raw[m.name] = m.value
		}
	}
	refs := []byte{'['}
	for i, key := range keys {
		id, err := f.id(key)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			refs = append(refs, ',')
		}
		refs = appendText(refs, id)
	}
	l.drop("objects")
	l.set("object_refs", append(refs, ']'))
	return f.done, nil
}

// family are the observables of one observed-data, which refer to each other by key.
type family struct {
	parent string
	raw    map[string][]byte
	ids    map[string]string // empty while it is being made: a cycle
	done   []Object
}

// id lifts the observable under key, after those that it refers to.
func (f *family) id(key string) (string, error) {
	if id, ok := f.ids[key]; ok {
		if id == "" {
			return "", fmt.Errorf("observable %.40q refers to itself", key)
		}
		return id, nil
	}
	raw, ok := f.raw[key]
	if !ok {
		return "", fmt.Errorf("observable %.40q is referred to but not there", key)
	}
	if len(f.ids) > maxFamily {
		return "", ErrTooLarge
	}
	f.ids[key] = ""
	l := lifting{list: final(raw)}
	typ := ownText(orNull(l.get("type")))
	l.modernise(typ)
	for i := range l.list {
		value, err := f.references(l.list[i].name, l.list[i].value)
		if err != nil {
			return "", err
		}
		l.list[i].value = value
	}
	l.drop("id", "spec_version")
	l.list = append([]named{{"type", appendText(nil, typ)}, {"spec_version", []byte(`"2.1"`)}}, slices.DeleteFunc(l.list, func(m named) bool { return m.name == "type" })...)
	var bare []byte
	for _, m := range l.list {
		bare = appendMember(bare, m.name, m.value)
	}
	id, err := ID(append(bare, '}'))
	if err != nil {
		id = f.random(typ, key)
	}
	l.list = slices.Insert(l.list, 2, named{"id", appendText(nil, id)})
	o, err := l.object()
	if err != nil {
		return "", fmt.Errorf("observable %.40q: %w", key, err)
	}
	f.ids[key] = id
	f.done = append(f.done, o)
	return id, nil
}

// maxFamily bounds how many observables one observed-data may hold, and so how deep they
// may refer to each other.
const maxFamily = 10_000

func orNull(raw []byte) []byte {
	if raw == nil {
		return []byte("null")
	}
	return raw
}

// random is an id of version 4 for what has no deterministic one: always the same for the
// same place.
func (f *family) random(typ, key string) string {
	full := sha256.Sum256([]byte(f.parent + "\n" + key))
	var sum [20]byte
	copy(sum[:], full[:])
	id := []byte(uuid5(typ, sum))
	id[len(typ)+2+14] = '4'
	return string(id)
}

// references replaces the keys in *_ref and *_refs by ids, at any depth.
func (f *family) references(name string, value []byte) ([]byte, error) {
	replace := func(raw []byte) ([]byte, error) {
		if raw[0] != '"' {
			return raw, nil
		}
		id, err := f.id(ownText(raw))
		return appendText(nil, id), err
	}
	switch {
	case strings.HasSuffix(name, "_ref"):
		return replace(value)
	case value[0] == '[':
		out := []byte{'['}
		for i, element := range elements(value) {
			var err error
			if strings.HasSuffix(name, "_refs") {
				element, err = replace(element)
			} else {
				element, err = f.references("", element)
			}
			if err != nil {
				return nil, err
			}
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, element...)
		}
		return append(out, ']'), nil
	case value[0] == '{' && len(value) > 2:
		var out []byte
		for _, m := range final(value) {
			inner, err := f.references(m.name, m.value)
			if err != nil {
				return nil, err
			}
			out = appendMember(out, m.name, inner)
		}
		return append(out, '}'), nil
	}
	return value, nil
}

// modernise renames the properties of an observable that 2.1 calls otherwise, and removes
// those that it has no more.
func (l *lifting) modernise(typ string) {
	switch typ {
	case "file":
		l.rename("created", "ctime")
		l.rename("modified", "mtime")
		l.rename("accessed", "atime")
		l.drop("is_encrypted", "encryption_algorithm", "decryption_key")
	case "directory":
		l.rename("created", "ctime")
		l.rename("modified", "mtime")
		l.rename("accessed", "atime")
	case "process":
		l.rename("created", "created_time")
		l.rename("binary_ref", "image_ref")
		l.drop("name", "arguments")
	case "user-account":
		l.rename("password_last_changed", "credential_last_changed")
	case "windows-registry-key":
		l.rename("modified", "modified_time")
	}
}
