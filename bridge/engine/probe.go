package engine

import (
	"context"
	"time"

	"github.com/stixbridge/stixbridge/bridge"
	"github.com/stixbridge/stixbridge/internal/config"
)

// Probed is what one source or target said.
type Probed struct {
	Name, Place, Says string
	Err               error
}

// Probe asks every source and target that can be asked whether it answers and accepts us. It changes nothing there.
func Probe(ctx context.Context, cfg *config.Loaded, version string) (all []Probed) {
	clients := newClients(cfg, version)
	ask := func(name, place string, plugin any) {
		r := Probed{Name: name, Place: place, Says: "cannot be asked without reading or delivering"}
		if l, ok := plugin.(bridge.Lender); ok {
			l.Lend(bridge.Env{Name: name, HTTP: clients.of(name)})
		}
		if p, ok := plugin.(bridge.Prober); ok {
			ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
			r.Err, r.Says = p.Probe(ctx), "answers"
			cancel()
		}
		all = append(all, r)
	}
	for _, p := range cfg.Producers {
		ask(p.Name, p.Place(), p.Producer)
	}
	for _, c := range cfg.Consumers {
		if c.Sink != nil {
			ask(c.Name, c.Place(), c.Sink)
		} else {
			ask(c.Name, c.Place(), c.Enricher)
		}
	}
	return all
}
