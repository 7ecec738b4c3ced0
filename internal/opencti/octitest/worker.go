package octitest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/rabbitmq/amqp091-go"
)

// Message is one message of a push queue as the worker took it.
type Message struct {
	Body       map[string]any // with content still encoded
	Properties amqp091.Delivery
	Objects    []map[string]any
}

// Import is one object that was imported, or was to be.
type Import struct {
	ID, Work  string
	Operation string // upsert, delete, merge
	Object    map[string]any
	Error     string
}

// Imports lists what was imported so far, in order.
func (p *Platform) Imports() []Import {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Import(nil), p.imports...)
}

// Messages lists the messages that the worker took so far.
func (p *Platform) Messages() []Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Message(nil), p.messages...)
}

// Refuse makes the import of an object fail with an error, which goes to its work; an empty text ends that.
func (p *Platform) Refuse(id, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if message == "" {
		delete(p.refused, id)
	} else {
		p.refused[id] = message
	}
}

func (p *Platform) dial() (*amqp091.Connection, error) {
	b := p.o.Broker
	u := url.URL{Scheme: "amqp", User: url.UserPassword(b.User, b.Password), Host: fmt.Sprintf("%s:%d", b.Host, b.Port), Path: "/" + b.VHost}
	return amqp091.Dial(u.String())
}

// declare makes a connector's exchanges and queues with the platform's arguments, so that a client that declares them in its own way
// fails.
func (p *Platform) declare(id string, in map[string]any) error {
	if p.o.Broker.Host == "" {
		return nil
	}
	conn, err := p.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	name, _ := in["name"].(string)
	typ, _ := in["type"].(string)
	for _, q := range []struct{ exchange, prefix string }{{"amqp.connector.exchange", "listen_"}, {"amqp.worker.exchange", "push_"}} {
		args := amqp091.Table{"x-queue-type": "classic", "name": name, "config": amqp091.Table{"id": id, "type": typ}}
		if err := ch.ExchangeDeclare(q.exchange, "direct", true, false, false, false, nil); err != nil {
			return err
		}
		if _, err := ch.QueueDeclare(q.prefix+id, true, false, false, false, args); err != nil {
			return err
		}
		if err := ch.QueueBind(q.prefix+id, q.prefix+"routing_"+id, q.exchange, false, nil); err != nil {
			return err
		}
	}
	return nil
}

// Worker starts to take messages from a connector's push queue, one at a time, and to import what they hold. It ends with the
// test.
func (p *Platform) Worker(connector string) {
	p.t.Helper()
	conn, err := p.dial()
	if err != nil {
		p.t.Fatal(err)
	}
	ch, err := conn.Channel()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := ch.Qos(1, 0, false); err != nil {
		p.t.Fatal(err)
	}
	in, err := ch.Consume("push_"+connector, "worker", false, false, false, false, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	p.wg.Go(func() {
		for d := range in {
			if p.message(d) {
				_ = d.Ack(false)
			} else {
				_ = d.Nack(false, false) // dropped, and nobody is told
			}
		}
	})
}

// message takes what the platform's worker takes and drops what it drops.
func (p *Platform) message(d amqp091.Delivery) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.notify()
	var body map[string]any
	if json.Unmarshal(d.Body, &body) != nil {
		return false
	}
	content, _ := body["content"].(string)
	text, err := base64.StdEncoding.DecodeString(content)
	if err != nil {
		return false
	}
	if types, given := body["entities_types"]; given && types == nil {
		return false
	}
	kind, _ := body["type"].(string)
	work, _ := body["work_id"].(string)
	m := Message{Body: body, Properties: d}
	switch kind {
	case "", "bundle":
		var b struct {
			Type    string
			Objects []map[string]any
		}
		if json.Unmarshal(text, &b) != nil || b.Type != "bundle" || len(b.Objects) == 0 {
			return false
		}
		m.Objects = b.Objects
		p.messages = append(p.messages, m)
		p.load(b.Objects, work)
	case "event":
		var e struct {
			Type string
			Data map[string]any
		}
		if json.Unmarshal(text, &e) != nil || e.Data == nil {
			return false
		}
		if e.Type != "create" && e.Type != "update" {
			e.Data["opencti_operation"] = e.Type
		}
		m.Objects = []map[string]any{e.Data}
		p.messages = append(p.messages, m)
		p.load(m.Objects, work)
	default:
		return false
	}
	return true
}

// push is what the platform does with stixBundlePush: it opens a work when there is none, adds what it expects, and imports.
func (p *Platform) push(objects []map[string]any, work string) {
	if w := p.works[work]; w != nil {
		w.Expected += len(objects)
	}
	p.load(objects, work)
}

// load imports objects one by one and reports each to the work.
func (p *Platform) load(objects []map[string]any, work string) {
	for _, o := range objects {
		id, _ := o["id"].(string)
		i := Import{ID: id, Work: work, Operation: "upsert", Object: clone(o)}
		ext := extensionOf(o)
		get := func(k string) any {
			if v, ok := o[k]; ok {
				return v
			}
			return ext[k]
		}
		if op, ok := get("opencti_operation").(string); ok {
			i.Operation = strings.TrimSuffix(op, "_force")
		}
		var err error
		switch {
		case p.refused[id] != "":
			err = fmt.Errorf("%s", p.refused[id])
		case i.Operation == "delete":
			err = p.remove(id, p.User())
		case i.Operation == "merge":
			target, _ := get("merge_target_id").(string)
			var sources []string
			l, _ := get("merge_source_ids").([]any)
			for _, s := range l {
				sources = append(sources, fmt.Sprint(s))
			}
			err = p.merge(target, sources, p.User())
		case i.Operation != "upsert":
			err = fmt.Errorf("UNSUPPORTED_ERROR: operation %s", i.Operation)
		default:
			err = p.upsert(o, p.User())
		}
		source, _ := json.Marshal(o)
		if err != nil {
			i.Error = err.Error()
		}
		p.imports = append(p.imports, i)
		p.report(work, i.Error, string(source), err != nil)
	}
}
