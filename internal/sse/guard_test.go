package sse

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	r3labs "github.com/r3labs/sse/v2"
)

// plain reads a stream by the letter of the specification: the yardstick for the guard and what stands behind it.
func plain(text string) []Event {
	var out []Event
	text = strings.TrimPrefix(text, "\ufeff")
	lines := strings.Split(strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n"), "\n")
	var id string
	var e Event
	var data []string
	for _, line := range lines[:len(lines)-1] { // what follows the last line end is no line
		if line == "" {
			if d := strings.Join(data, "\n"); d != "" {
				out = append(out, Event{ID: id, Name: e.Name, Data: []byte(d)})
			}
			e, data = Event{}, nil
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case field == "id" && value != "":
			id = value
		case field == "event":
			e.Name = value
		case field == "data":
			data = append(data, value)
		}
	}
	return out
}

// guarded reads a stream through the guard and makes events of it.
func guarded(src io.Reader, limit int) ([]Event, error) {
	w := &wholeEvents{src: src, max: limit}
	var s blocks
	var out []Event
	for {
		block, err := w.block()
		if err != nil {
			return out, err
		}
		if e, ok := s.event(block); ok {
			out = append(out, e)
		}
	}
}

func FuzzGuard(f *testing.F) {
	for _, s := range []string{"", "id: 1\ndata: a\n\n", "id: 1\r\ndata: a\r\n\r\n", "data: a\r\rdata: b\r\r", "\ufeffdata: a\n\n", ": c\n\nid: 1\ndata: x\n\r\n", "data: a\n\r\n\r\n\n\ndata: b", "\r\n\n\r", "a\n\n\n\n\nb\r\r\r\r\n\n"} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, text string, piece int) {
		whole, _ := guarded(strings.NewReader(text), 1<<20)
		bytewise, _ := guarded(iotest.OneByteReader(strings.NewReader(text)), 1<<20)
		early, _ := guarded(iotest.DataErrReader(iotest.HalfReader(strings.NewReader(text))), 1<<20)
		if d := cmp.Diff(whole, bytewise); d != "" {
			t.Errorf("read whole and bytewise differ:\n%s", d)
		}
		if d := cmp.Diff(whole, early); d != "" {
			t.Errorf("read whole and in halves differ:\n%s", d)
		}
		// A cut anywhere yields a prefix of what the whole stream yields, for a stream of whole events.
		if n := len(text); n > 0 {
			at := ((piece % n) + n) % n
			cut, _ := guarded(strings.NewReader(text[:at]), 1<<20)
			if !slices.EqualFunc(cut, whole[:min(len(cut), len(whole))], func(a, b Event) bool { return a.ID == b.ID && a.Name == b.Name && bytes.Equal(a.Data, b.Data) }) {
				t.Errorf("cut after %d: %q is no prefix of %q", at, cut, whole)
			}
		}
		// What another implementation makes of the same bytes is the same list of blocks, but for a cut one at the end.
		alone, _ := r3labsAlone(text)
		if len(whole) > len(alone) {
			t.Errorf("the guard made events: %q, r3labs alone %q", whole, alone)
		}
		// And the specification, of the bytes up to the last blank line.
		if !strings.Contains(text, "\x00") && !strings.HasSuffix(text, "\n\r") { // there a LF may still come
			if d := cmp.Diff(plain(text), whole); d != "" {
				t.Errorf("%q: the specification - ours +:\n%s", text, d)
			}
		}
	})
}

func r3labsAlone(text string) ([]string, error) {
	r := r3labs.NewEventStreamReader(strings.NewReader(text), 1<<20)
	var out []string
	for {
		b, err := r.ReadEvent()
		if err != nil {
			return out, err
		}
		out = append(out, string(b))
	}
}

// FuzzStreams compares whole streams, made of well-formed events, with the specification.
func FuzzStreams(f *testing.F) {
	f.Add("1", "create", `{"a":1}`, "2", "\n", true)
	f.Add("1", "", "x", "1", "\r\n", false)
	f.Add("", "update", "y: z", "3", "\r", true)
	f.Fuzz(func(t *testing.T, id, name, data, id2, eol string, comment bool) {
		if (eol != "\n" && eol != "\r\n" && eol != "\r") || strings.ContainsAny(id+name+data+id2, "\r\n\x00\ufeff") || data == "" {
			t.Skip()
		}
		var b strings.Builder
		write := func(id, name, data string) {
			if id != "" {
				b.WriteString("id: " + id + eol)
			}
			if name != "" {
				b.WriteString("event: " + name + eol)
			}
			b.WriteString("data: " + data + eol + eol)
		}
		write(id, name, data)
		if comment {
			b.WriteString(": ping" + eol + eol)
		}
		write(id2, "delete", data+data)
		want := plain(b.String())
		got, end := through(b.String())
		if d := cmp.Diff(want, got); d != "" || end != io.EOF {
			t.Errorf("%q (-want +got):\n%s%v", b.String(), d, end)
		}
	})
}

// body lets Stream read from memory.
type body string

func (b body) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Status: "200 OK", Header: http.Header{"Content-Type": {"text/event-stream"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(string(b)))}, nil
}

func through(text string) ([]Event, error) {
	var got []Event
	err := Stream(context.Background(), Request{URL: "http://stream.test", Client: &http.Client{Transport: body(text)}}, func(e Event) error {
		got = append(got, e)
		return nil
	})
	return got, err
}

func BenchmarkStream(b *testing.B) {
	event := "id: 1763856001000-0\nevent: create\ndata: " + strings.Repeat("x", 1200) + "\n\n"
	text := strings.Repeat(event, 20_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if got, err := through(text); len(got) != 20_000 || err != io.EOF {
			b.Fatal(len(got), err)
		}
	}
	b.ReportMetric(float64(b.N)*20_000/b.Elapsed().Seconds(), "events/s")
}
