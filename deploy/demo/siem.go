package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/stixbridge/stixbridge/stix"
)

// siem is a small SIEM: a table of indicators in which the last one to write wins, and for the scoreboard a record of all that it
// took. Both lanes end in one of these.
type siem struct {
	bell  *bell
	token string

	mu      sync.Mutex
	answer  int               // to whoever asks; 200 takes what is sent
	table   map[string]row    // by id
	heard   map[change]int    // how often each was taken
	newest  map[string]change // by id: the newest of what was taken
	taken   int
	double  int
	stale   int
	leaked  int
	refused int
	recent  []row
	asked   time.Time // last request
	trap    int       // at this number of events taken, spring
	spring  func()
}

// row of the table, and of the list of what came last.
type row struct {
	At, Op, TLP, Name string
	Score             int
	version           string
	level             stix.TLP
}

func newSIEM(b *bell, token string) *siem {
	s := &siem{bell: b, token: token, answer: http.StatusOK}
	s.empty()
	return s
}

// empty forgets everything.
func (s *siem) empty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table, s.heard, s.newest, s.recent = map[string]row{}, map[change]int{}, map[string]change{}, nil
	s.taken, s.double, s.stale, s.leaked, s.refused, s.asked = 0, 0, 0, 0, 0, time.Time{}
}

// set makes the SIEM answer with a status.
func (s *siem) set(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = status
	s.bell.ring()
}

// after calls f once, when n more events were taken.
func (s *siem) after(n int, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trap, s.spring = s.taken+n, f
}

// ServeHTTP takes an event: {"op": …, "object": …}.
func (s *siem) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var e struct {
		Op     string
		Object stix.Object
	}
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		time.Sleep(2 * time.Millisecond) // a SIEM has something to do
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.bell.ring()
	s.asked = time.Now()
	status := s.answer
	if r.Header.Get("Authorization") != "Bearer "+s.token {
		status = http.StatusUnauthorized
	}
	if status != http.StatusOK {
		s.refused++
		http.Error(w, http.StatusText(status), status)
		return
	}
	if r.Method == http.MethodPost {
		s.take(e.Op, e.Object)
	}
}

var markings stix.Markings

func (s *siem) take(op string, o stix.Object) {
	level := markings.TLP(o)
	c := change{o.ID(), o.Modified(), op == "delete" || op == "retract" || op == "expire"}
	line := row{At: s.asked.Format("15:04:05"), Op: op, TLP: level.String(), Name: defang(o.Text("name")), version: c.version, level: level}
	if raw, ok := o.Get("extensions", stix.OpenCTIExtension, "score"); ok {
		_ = json.Unmarshal(raw, &line.Score)
	}
	if c.gone {
		delete(s.table, c.id)
	} else {
		s.table[c.id] = line
		if level.Rank() > ceiling.Rank() {
			s.leaked++
		}
	}
	s.taken++
	s.heard[c]++
	if s.heard[c] > 1 {
		s.double++
	}
	if n := s.newest[c.id]; c.version < n.version || c.version == n.version && n.gone && !c.gone {
		s.stale++ // and the table shows it
	} else {
		s.newest[c.id] = c
	}
	s.recent = append(s.recent, line)
	s.recent = s.recent[max(0, len(s.recent)-12):]
	if s.spring != nil && s.taken >= s.trap {
		go s.spring()
		s.spring = nil
	}
}

// defang keeps a name from being clicked.
func defang(name string) string {
	return strings.NewReplacer("http", "hxxp", ".", "[.]").Replace(name)
}

func (s *siem) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.table[id]
	return ok
}

// quiet reports whether nobody asked for so long.
func (s *siem) quiet(d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.asked.IsZero() && time.Since(s.asked) > d
}

func (s *siem) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.table)
}

// compare counts the lines of the table that are as they should be, those that are absent or outdated, and those that should not be
// there.
func (s *siem) compare(want map[string]string) (right, lacking, extra int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, version := range want {
		if s.table[id].version == version {
			right++
		}
	}
	for id := range s.table {
		if _, ok := want[id]; !ok {
			extra++
		}
	}
	return right, len(want) - right, extra
}

// arrived counts the changes of a ledger that were taken.
func (s *siem) arrived(told map[change]bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return common(s.heard, told)
}

func common(heard map[change]int, told map[change]bool) (n int) {
	for c := range told {
		if heard[c] > 0 {
			n++
		}
	}
	return n
}
