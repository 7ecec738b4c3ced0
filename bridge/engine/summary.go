package engine

// Types tells what became of each producer's input since the start: producer → type → outcome → count.
func (e *Engine) Types() map[string]map[string]map[string]uint64 {
	all := map[string]map[string]map[string]uint64{}
	for _, p := range e.producers {
		types := map[string]map[string]uint64{}
		for k, n := range p.counts() {
			if types[k[1]] == nil {
				types[k[1]] = map[string]uint64{}
			}
			types[k[1]][k[0]] += n
		}
		all[p.cfg.Name] = types
	}
	return all
}

// Remedy says what to set if a consumer's gate holds back what should pass.
func (e *Engine) Remedy(consumer, gate string) string {
	k, err := e.consumer(consumer)
	if err != nil {
		return ""
	}
	return k.gate.Remedy(gate)
}
