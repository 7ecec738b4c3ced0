package subscriber

import (
	"fmt"
	"strings"

	"github.com/stixbridge/stixbridge/internal/broker"
	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// APIPrefix is where a subscriber finds the pull API: clients take it in the place of $JS.API.
const APIPrefix = "stixbridge"

// Services is the root of what the bridge itself answers to subscribers, in its own account: <root>.<name>.blob.
const Services = "stixbridge.v1.subscriber"

// ackTokens follow the name in the subject of an acknowledgement: deliveries, stream sequence, consumer sequence, time, pending.
const ackTokens = 5

// export is a service of the bridge's account: subject with * in the place of the subscriber's name, and the name's token counted from 1.
// The name of the account is the same, so that the server itself binds each account to what is its own.
type export struct {
	subject string
	token   int
	as      string // subject in the subscriber's account
}

const star = "*"

var exports = []export{
	{"$JS.API.CONSUMER.INFO." + eventlog.StreamEvents + ".*", 6, APIPrefix + ".CONSUMER.INFO." + eventlog.StreamEvents + ".*"},
	{"$JS.API.CONSUMER.MSG.NEXT." + eventlog.StreamEvents + ".*", 7, APIPrefix + ".CONSUMER.MSG.NEXT." + eventlog.StreamEvents + ".*"},
	{"$JS.ACK." + eventlog.StreamEvents + ".*" + strings.Repeat(".*", ackTokens), 4, "$JS.ACK." + eventlog.StreamEvents + ".*" + strings.Repeat(".*", ackTokens)},
	{Services + ".*.blob", 4, APIPrefix + ".BLOB"},
}

// Account is what a subscriber gets in the broker: description of its own durable, pull requests to it, acknowledgements, large payloads
// and answers. It reaches nothing else of the JetStream API.
func (s Subscriber) Account() broker.Account {
	a := broker.Account{
		Name: s.Name, User: s.User(), Hash: s.Hash, Subscribe: []string{"_INBOX.>"},
		Connections: s.Limits.Connections, Payload: s.Limits.Payload, Subscriptions: s.Limits.Subscriptions,
	}
	for _, e := range exports {
		i := broker.Import{Service: strings.Replace(e.subject, star, s.Name, 1), As: strings.Replace(e.as, star, s.Name, 1)}
		a.Imports = append(a.Imports, i)
		a.Publish = append(a.Publish, i.As)
	}
	return a
}

// ServerConfig is the configuration of an external server for these subscribers: a file of accounts that the accounts block of
// nats-server.conf includes. home is the account that the bridge logs in to. Passwords are in it as hashes only.
func ServerConfig(home string, all []Subscriber) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Accounts of stixbridge's subscribers. Made by "stixbridge subscriber config"; not to be edited.
# nats-server.conf, where %[1]s is the account that the bridge logs in to:
#
#   accounts {
#     %[1]s {
#       jetstream: enabled
#       users: [ … ]
#       exports: [
`, home)
	for _, e := range exports {
		fmt.Fprintf(&b, "#         { service: %q, response_type: stream, account_token_position: %d }\n", e.subject, e.token)
	}
	b.WriteString("#       ]\n#     }\n#     include subscribers.conf\n#   }\n")
	for _, s := range all {
		a := s.Account()
		fmt.Fprintf(&b, "\n%q {\n  users: [ { user: %q, password: %q, permissions: {\n    publish: { allow: [%s] }\n    subscribe: { allow: [%s] }\n  } } ]\n",
			a.Name, a.User, a.Hash, quoted(a.Publish), quoted(a.Subscribe))
		b.WriteString("  imports: [\n")
		for _, i := range a.Imports {
			fmt.Fprintf(&b, "    { service: { account: %q, subject: %q }, to: %q }\n", home, i.Service, i.As)
		}
		fmt.Fprintf(&b, "  ]\n  limits: { max_connections: %d, max_payload: %d, max_subscriptions: %d, max_leafnodes: 0 }\n}\n", a.Connections, a.Payload, a.Subscriptions)
	}
	return b.String()
}

// HomeExports is what the bridge's account needs in nats-server.conf, once for all subscribers.
func HomeExports() string {
	var b strings.Builder
	for _, e := range exports {
		fmt.Fprintf(&b, "{ service: %q, response_type: stream, account_token_position: %d }\n", e.subject, e.token)
	}
	return b.String()
}

func quoted(list []string) string {
	q := make([]string, len(list))
	for i, s := range list {
		q[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(q, ", ")
}
