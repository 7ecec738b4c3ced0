package intake

// Points for tests of crashes.
const (
	AtStored    = stored
	AtProjected = projected
)

// CrashAt makes the intake end at a point, as if the process had been killed there.
func (o Options) CrashAt(point string, err error) Options {
	o.inject = func(p string) error {
		if p == point {
			return err
		}
		return nil
	}
	return o
}

// Visit makes f run at a point, as long as it takes.
func (o Options) Visit(point string, f func()) Options {
	o.inject = func(p string) error {
		if p == point {
			f()
		}
		return nil
	}
	return o
}
