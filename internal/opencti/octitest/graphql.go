package octitest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Call is one GraphQL request as it came.
type Call struct {
	Op     string // field, or workEdit.field
	Vars   map[string]any
	Header http.Header
}

// ConnectorRecord is what the platform knows of a connector.
type ConnectorRecord struct {
	Input map[string]any
	State *string
	Pings int
	Info  map[string]any // of the last ping
	reset bool
}

// WorkRecord is what the platform knows of a work.
type WorkRecord struct {
	ID, Connector, Name string
	Multi, Processed    bool
	InError             bool
	Expected, Done      int
	Errors              []map[string]any
	Message             string
	Received            string
}

// Complete reports whether the platform shows the work as complete.
func (w WorkRecord) Complete() bool {
	return w.Done >= w.Expected && (w.Processed || (!w.Multi && w.Done > 0))
}

type fault struct {
	op    string
	times int
	play  func(w http.ResponseWriter)
}

// Fail makes the next calls of an operation fail with a GraphQL error; times < 0 means until Heal.
func (p *Platform) Fail(op string, times int, name, message string) {
	p.addFault(op, times, func(w http.ResponseWriter) { answerError(w, http.StatusOK, name, message) })
}

// FailHTTP makes the next calls of an operation fail with an HTTP status. 0 cuts the connection.
func (p *Platform) FailHTTP(op string, times, status int, header ...string) {
	p.addFault(op, times, func(w http.ResponseWriter) {
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		http.Error(w, http.StatusText(status), status)
	})
}

func (p *Platform) addFault(op string, times int, play func(w http.ResponseWriter)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, &fault{op, times, play})
}

// Heal ends all faults of GraphQL calls.
func (p *Platform) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
}

// Calls returns the calls so far; with names, only those of these operations.
func (p *Platform) Calls(ops ...string) []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Call
	for _, c := range p.calls {
		if len(ops) == 0 || slices.Contains(ops, c.Op) {
			out = append(out, c)
		}
	}
	return out
}

// Connector returns a copy of what is known of a connector; nil when it never registered.
func (p *Platform) Connector(id string) *ConnectorRecord {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.connectors[id]; c != nil {
		d := *c
		return &d
	}
	return nil
}

// Forget deletes a connector from the platform, as an administrator might.
func (p *Platform) Forget(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.connectors, id)
}

// ResetState resets a connector's state, as its users may.
func (p *Platform) ResetState(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	empty := ""
	p.connectors[id].State, p.connectors[id].reset = &empty, true
}

// SetState replaces a connector's state at the platform.
func (p *Platform) SetState(id, state string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connectors[id].State = &state
}

// SetQueue fixes the fill of every push queue that the platform reports.
func (p *Platform) SetQueue(messages, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = &[2]int64{messages, bytes}
}

// Works returns copies of all works, in the order they were opened.
func (p *Platform) Works() []WorkRecord {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []WorkRecord
	for _, id := range slices.Sorted(maps.Keys(p.works)) {
		w := *p.works[id]
		w.Errors = slices.Clone(w.Errors)
		out = append(out, w)
	}
	return out
}

func answerError(w http.ResponseWriter, status int, name, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"data": nil, "errors": []any{map[string]any{
		"message": message, "name": name, "extensions": map[string]any{"code": name, "data": map[string]any{"http_status": 500, "genre": "TECHNICAL"}}}}})
}

var names = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)

// fields finds the first field of a document and the first one below it; arguments are passed over.
func fields(doc string) (top, sub string) {
	depth, paren := 0, 0
	for i := 0; i < len(doc); i++ {
		switch doc[i] {
		case '(':
			paren++
		case ')':
			paren--
		case '{':
			if paren > 0 {
				continue
			}
			if depth++; depth > 2 {
				return top, sub
			}
			rest := names.FindString(doc[i:])
			if depth == 1 {
				top = rest
			} else {
				sub = rest
			}
		case '}':
			if paren == 0 {
				return top, sub
			}
		}
	}
	return top, sub
}

// selectable lists what documents may only name from a version on.
var selectable = []struct{ word, since, kind string }{
	{"jwks", "7.0", `Cannot query field "jwks" on type "Connector".`},
	{"s3", "6.9.12", `Cannot query field "s3" on type "ConnectorConfig".`},
	{"isMultiPartWork", "7.260430", `Unknown argument "isMultiPartWork" on field "Mutation.workAdd".`},
}

// inputs lists the fields of RegisterConnectorInput with the version that brought them.
var inputs = map[string]string{
	"id": "", "name": "", "type": "", "scope": "", "auto": "", "auto_update": "", "enrichment_resolution": "", "only_contextual": "", "playbook_compatible": "", "listen_callback_uri": "",
	"xtm_one_intent": "7.260609", "version": "7.261008", "slug": "7.261008",
}

func (p *Platform) graphql(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Query     string         `json:"query"`
		Variables map[string]any `json:"variables"`
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &req) != nil {
		http.Error(w, "POST body missing", http.StatusBadRequest)
		return
	}
	top, sub := fields(req.Query)
	op := top
	if top == "workEdit" {
		op += "." + sub
	}
	p.mu.Lock()
	p.calls = append(p.calls, Call{op, req.Variables, r.Header.Clone()})
	p.notify()
	var hit *fault
	for _, f := range p.faults {
		if f.times != 0 && (f.op == op || f.op == "*") {
			f.times--
			hit = f
			break
		}
	}
	p.mu.Unlock()
	if hit != nil {
		hit.play(w)
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+p.Token && op != "about" {
		answerError(w, http.StatusOK, "AUTH_REQUIRED", "You must be logged in to do this.")
		return
	}
	for _, s := range selectable {
		if before(p.o.Version, s.since) && slices.Contains(names.FindAllString(req.Query, -1), s.word) {
			answerError(w, http.StatusBadRequest, "GRAPHQL_VALIDATION_FAILED", s.kind)
			return
		}
	}
	p.mu.Lock()
	data, name, message := p.answer(op, req.Variables)
	p.notify()
	p.mu.Unlock()
	if name != "" {
		answerError(w, http.StatusOK, name, message)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
}

type object = map[string]any

// jwks holds a key that signs nothing: current clients refuse an empty set.
const jwks = `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","use":"sig","alg":"EdDSA","kid":"k1"}]}`

// answer runs one operation under the lock: its data, or the name and message of an error.
func (p *Platform) answer(op string, v map[string]any) (data object, name, message string) {
	text := func(k string) string { s, _ := v[k].(string); return s }
	switch op {
	case "about":
		return object{"about": object{"version": p.o.Version}}, "", ""
	case "me":
		return object{"me": object{"id": p.User(), "name": "bridge", "capabilities": []any{object{"name": "CONNECTORAPI"}}}}, "", ""
	case "registerConnector":
		in, _ := v["input"].(map[string]any)
		for k := range in {
			since, known := inputs[k]
			if !known || (since != "" && before(p.o.Version, since)) {
				whole, _ := json.Marshal(in)
				return nil, "BAD_USER_INPUT", fmt.Sprintf(`Variable "$input" got invalid value %s; Field "%s" is not defined by type "RegisterConnectorInput".`, whole, k)
			}
		}
		id, _ := in["id"].(string)
		if err := p.declare(id, in); err != nil {
			return nil, "UNKNOWN_ERROR", err.Error()
		}
		c := p.connectors[id]
		if c == nil {
			c = &ConnectorRecord{}
			p.connectors[id] = c
		}
		c.Input = in
		b := p.o.Broker
		return object{"registerConnector": object{"id": id, "connector_state": c.State, "connector_user_id": p.User(), "jwks": jwks, "config": object{
			"s3":         object{"endpoint": "127.0.0.1", "port": 9000, "use_ssl": false, "bucket_name": "b", "bucket_region": "r", "access_key": "x", "secret_key": "x"},
			"connection": object{"host": b.Host, "vhost": b.VHost, "use_ssl": false, "port": b.Port, "user": b.User, "pass": b.Password},
			"listen":     "listen_" + id, "listen_routing": "listen_routing_" + id, "listen_exchange": "amqp.connector.exchange",
			"push": "push_" + id, "push_routing": "push_routing_" + id, "push_exchange": "amqp.worker.exchange",
		}}}, "", ""
	case "pingConnector":
		c := p.connectors[text("id")]
		if c == nil {
			return nil, "FUNCTIONAL_ERROR", "No connector found with the specified ID"
		}
		c.Pings++
		c.Info, _ = v["connectorInfo"].(map[string]any)
		if c.reset {
			c.reset = false
		} else {
			s := text("state")
			c.State = &s
		}
		return object{"pingConnector": object{"id": text("id"), "connector_state": c.State}}, "", ""
	case "connector":
		if p.connectors[text("id")] == nil {
			return object{"connector": nil}, "", ""
		}
		q := [2]int64{}
		if p.queue != nil {
			q = *p.queue
		}
		return object{"connector": object{"id": text("id"), "active": true, "connector_queue_details": object{"messages_number": q[0], "messages_size": q[1]}}}, "", ""
	case "deleteConnector":
		delete(p.connectors, text("id"))
		return object{"deleteConnector": text("id")}, "", ""
	case "workAdd":
		id := fmt.Sprintf("work_%s_%s-%04d", text("connectorId"), time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), len(p.works))
		multi, _ := v["isMultiPartWork"].(bool)
		p.works[id] = &WorkRecord{ID: id, Connector: text("connectorId"), Name: text("friendlyName"), Multi: multi}
		return object{"workAdd": object{"id": id}}, "", ""
	case "work":
		w := p.works[text("id")]
		if w == nil {
			return object{"work": nil}, "", ""
		}
		status := "progress"
		if w.Complete() {
			status = "complete"
		}
		return object{"work": object{"id": w.ID, "status": status, "tracking": object{"import_expected_number": w.Expected, "import_processed_number": w.Done}, "errors": w.Errors}}, "", ""
	case "stixBundlePush":
		if p.connectors[text("connectorId")] == nil {
			return nil, "UNSUPPORTED_ERROR", "Invalid connector"
		}
		var b struct {
			Type    string
			Objects []map[string]any
		}
		if json.Unmarshal([]byte(text("bundle")), &b) != nil || b.Type != "bundle" || len(b.Objects) == 0 {
			return nil, "UNSUPPORTED_ERROR", "Invalid bundle"
		}
		p.push(b.Objects, text("work_id"))
		return object{"stixBundlePush": true}, "", ""
	}
	field, edit := strings.CutPrefix(op, "workEdit.")
	if !edit {
		return nil, "UNSUPPORTED_ERROR", "operation " + op + " is not known here"
	}
	w := p.works[text("id")]
	if w == nil {
		return object{"workEdit": object{field: text("id")}}, "", "" // the platform answers as if all were well
	}
	switch field {
	case "addExpectations":
		n, _ := v["expectations"].(float64)
		w.Expected += int(n)
	case "toReceived":
		w.Received = text("message")
	case "toProcessed":
		w.Processed, w.Message = true, text("message")
		w.InError, _ = v["inError"].(bool)
	case "reportExpectation":
		e, _ := v["error"].(map[string]any)
		p.report(w.ID, fmt.Sprint(e["error"]), fmt.Sprint(e["source"]), e != nil)
	}
	return object{"workEdit": object{field: w.ID}}, "", ""
}

// report counts one result of a work.
func (p *Platform) report(work, message, source string, failed bool) {
	w := p.works[work]
	if w == nil {
		return
	}
	w.Done++
	if failed && len(w.Errors) < 100 {
		w.Errors = append(w.Errors, map[string]any{"timestamp": time.Now().UTC().Format(time.RFC3339Nano), "message": message, "sequence": len(w.Errors) + 1, "source": source})
	}
}
