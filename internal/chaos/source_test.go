package chaos

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/stixbridge/stixbridge/internal/opencti/octitest"
)

// mark is how an event names its content: the description, which a source never uses twice for an object.
func mark(e Event) string {
	var o struct{ Description string }
	_ = json.Unmarshal(e.Object, &o)
	return o.Description
}

const red = `,"object_marking_refs":["marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"]`

// feed is a file of STIX objects that changes: versions, levels, objects that go and come again.
type feed struct {
	path string
	r    *rand.Rand

	mu      sync.Mutex
	rev     []int
	away    []bool
	secret  []bool // red
	damaged bool
	said    []Change
}

const feedObjects = 120

func newFeed(dir string, seed uint64) *feed {
	return &feed{path: filepath.Join(dir, "feed.json"), r: rand.New(rand.NewPCG(seed, 100)), rev: make([]int, feedObjects), away: make([]bool, feedObjects), secret: make([]bool, feedObjects)}
}

func feedID(i int) string { return fmt.Sprintf("malware--%08x-0000-4000-8000-00000000feed", i) }

// change makes the next state of the file.
func (f *feed) change() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := len(f.said) == 0
	gone := 0
	for i := range f.rev {
		if f.away[i] {
			gone++
		}
	}
	for i := range f.rev {
		switch n := f.r.IntN(1000); {
		case f.away[i] && n < 300, !f.away[i] && n < 60, first: // another version, or back
			f.rev[i]++
			f.away[i] = false
		case f.away[i]:
			continue
		case n < 70 && i < 20: // another level
			f.rev[i]++
			f.secret[i] = !f.secret[i]
		case n < 75 && gone < 3:
			gone++
			f.away[i] = true
			f.said = append(f.said, Change{ID: feedID(i), Gone: true})
			continue
		default:
			continue
		}
		f.said = append(f.said, Change{ID: feedID(i), Mark: fmt.Sprintf("revision %d", f.rev[i])})
	}
	return f.write()
}

// damage makes the file one that breaks off in the middle, or whole again.
func (f *feed) damage(yes bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.damaged = yes
	return f.write()
}

func (f *feed) write() error {
	var all []string
	for i, rev := range f.rev {
		if f.away[i] {
			continue
		}
		level := ""
		if f.secret[i] {
			level = red
		}
		all = append(all, fmt.Sprintf(`{"type":"malware","spec_version":"2.1","id":%q,"created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z","name":"program %d","is_family":false,"description":"revision %d"%s}`, feedID(i), i, rev, level))
	}
	text := `{"type":"bundle","id":"bundle--11111111-1111-4111-8111-111111111111","objects":[` + strings.Join(all, ",\n") + "]}\n"
	if f.damaged {
		text = text[:len(text)/2]
	}
	if err := os.WriteFile(f.path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(f.path+".new", f.path)
}

func (f *feed) source() Source {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Source{Producer: "feed", Said: append([]Change{}, f.said...), Polled: true, Mark: mark}
}

// live is a platform whose live stream is followed: every change must become an event.
type live struct {
	*octitest.Platform
	r *rand.Rand

	mu   sync.Mutex
	rev  map[int]int
	held map[int]bool
	said []Change
}

const liveObjects = 40

func newLive(p *octitest.Platform, seed uint64) *live {
	return &live{Platform: p, r: rand.New(rand.NewPCG(seed, 200)), rev: map[int]int{}, held: map[int]bool{}}
}

func (l *live) change() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 1 + l.r.IntN(4) {
		i := l.r.IntN(liveObjects)
		id := fmt.Sprintf("tool--%08x-0000-4000-8000-00000000beef", i)
		if l.held[i] && l.r.IntN(20) == 0 {
			if err := l.Delete(id); err != nil {
				return err
			}
			l.held[i] = false
			l.said = append(l.said, Change{ID: id, Gone: true})
			continue
		}
		l.rev[i]++
		text := fmt.Sprintf("revision %d", l.rev[i])
		if err := l.Upsert(map[string]any{"type": "tool", "spec_version": "2.1", "id": id, "name": fmt.Sprintf("tool %d", i), "description": text}); err != nil {
			return err
		}
		l.held[i] = true
		l.said = append(l.said, Change{ID: id, Mark: text})
	}
	return nil
}

func (l *live) source() Source {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Source{Producer: "octi", Said: append([]Change{}, l.said...), Mark: mark}
}

// keep calls change now and then until the returned function is called, which waits for the last one.
func keep(every time.Duration, change func() error, failed func(error)) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				if err := change(); err != nil {
					failed(err)
				}
			}
		}
	}()
	return sync.OnceFunc(func() { close(quit); <-done })
}
