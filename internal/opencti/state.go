package opencti

import (
	"encoding/json"
	"reflect"
	"sync"
)

// State is what a connector keeps at the platform: a small JSON object that users see and can reset. The zero value is no
// state. It is safe for concurrent use.
type State struct {
	mu   sync.Mutex
	text string
	rev  int
}

// none is what connectors send when they have no state: the four letters, not a JSON null.
const none = "null"

// Adopt takes the state that came with a registration. What is not a JSON object with members counts as none.
func (s *State) Adopt(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = normal(text)
}

// Get decodes the state into a pointer; false when there is none.
func (s *State) Get(into any) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text != "" && json.Unmarshal([]byte(s.text), into) == nil
}

// Set replaces the state; the next ping carries it to the platform.
func (s *State) Set(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = normal(string(b))
	s.rev++
	return nil
}

func (s *State) read() (text string, rev int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.text == "" {
		return none, s.rev
	}
	return s.text, s.rev
}

// answered compares a ping's answer with what was sent. An empty answer to a state is a reset and always wins, since the next
// ping would undo it; another state wins only when ours did not change while the ping was under way.
func (s *State) answered(sent string, rev int, answer string) (reset bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer = normal(answer)
	if same(normal(sent), answer) {
		return false
	}
	if answer == "" {
		s.text = ""
		s.rev++
		return true
	}
	if s.rev == rev {
		s.text = answer
	}
	return false
}

func normal(text string) string {
	var m map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &m) != nil || len(m) == 0 {
		return ""
	}
	return text
}

func same(a, b string) bool {
	if a == b {
		return true
	}
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}
