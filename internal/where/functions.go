package where

import (
	"regexp"
	"strings"

	"github.com/expr-lang/expr/builtin"
)

// functions are what operators, members and helpers become. The first argument is the state; a nil operand is a missing
// property, and what is made of it is missing too.
var functions = func() map[string]*builtin.Function {
	m := map[string]*builtin.Function{}
	define := func(name string, f func(s *state, a []any) any) {
		m["\x00"+name] = &builtin.Function{Name: "\x00" + name, Func: func(a ...any) (any, error) {
			s := a[0].(*state)
			if s.steps++; s.steps > maxSteps {
				return nil, ErrBudget
			}
			return f(s, a[1:]), nil
		}}
	}
	define("member", func(s *state, a []any) any { return s.member(a[0].(int)) })
	define("op", func(s *state, a []any) any { return s.vars.Op })
	define("producer", func(s *state, a []any) any { return s.vars.Producer })
	define("tlp", func(s *state, a []any) any { return s.vars.TLP })
	define("id", func(s *state, a []any) any { return s.object.ID() })
	define("type", func(s *state, a []any) any { return s.object.Type() })
	define("score", func(s *state, a []any) any { return s.scoreOf() })
	define("labels", func(s *state, a []any) any { return s.labelsOf() })
	define("author", func(s *state, a []any) any { return s.authorOf() })
	define("has", func(s *state, a []any) any { return a[0] != nil })
	define("value", func(s *state, a []any) any { return a[0] }) // counts a step

	define("bool", func(s *state, a []any) any {
		b, ok := a[0].(bool)
		return ok && b || !ok && s.miss()
	})
	define("list", func(s *state, a []any) any {
		switch v := a[0].(type) {
		case []any, []int:
			return v
		case map[string]any:
			return v
		}
		s.miss()
		return []any{}
	})
	define("==", func(s *state, a []any) any { return known(s, a) && equal(a[0], a[1]) })
	define("!=", func(s *state, a []any) any { return known(s, a) && !equal(a[0], a[1]) })
	for op, ok := range map[string]func(int) bool{
		"<": func(c int) bool { return c < 0 }, "<=": func(c int) bool { return c <= 0 },
		">": func(c int) bool { return c > 0 }, ">=": func(c int) bool { return c >= 0 },
	} {
		define(op, func(s *state, a []any) any {
			c, comparable := compare(a[0], a[1])
			return comparable && ok(c) || !comparable && s.miss()
		})
	}
	define("in", func(s *state, a []any) any { return known(s, a) && in(s, a[0], a[1]) })
	define("not in", func(s *state, a []any) any { return known(s, a) && !in(s, a[0], a[1]) })
	for op, match := range map[string]func(s, t string) bool{
		"contains": strings.Contains, "startsWith": strings.HasPrefix, "endsWith": strings.HasSuffix,
	} {
		define(op, func(s *state, a []any) any { return texts(s, a[0], a[1], match) })
	}
	define("matches", func(s *state, a []any) any {
		pattern := a[1].(*regexp.Regexp)
		return texts(s, a[0], "", func(t, _ string) bool { return pattern.MatchString(t) })
	})
	for _, op := range []string{"+", "-", "*", "/", "%", "**"} {
		define(op, func(s *state, a []any) any { return calculate(op, a[0], a[1]) })
	}
	define("^", func(s *state, a []any) any { return calculate("**", a[0], a[1]) })
	define("negate", func(s *state, a []any) any { return calculate("-", 0, a[0]) })
	define("..", func(s *state, a []any) any {
		from, ok := a[0].(int)
		to, ok2 := a[1].(int)
		if !ok || !ok2 || to < from || to-from >= 10_000 {
			return []any{}
		}
		out := make([]any, 0, to-from+1)
		for i := from; i <= to; i++ {
			out = append(out, i)
		}
		return out
	})
	define("get", func(s *state, a []any) any { return get(a[0], a[1]) })
	define("slice", func(s *state, a []any) any { return slice(a[0], a[1], a[2]) })
	for _, b := range builtin.Builtins {
		if !b.Predicate {
			define("call "+b.Name, func(s *state, a []any) any { return call(b, a) })
		}
	}
	return m
}()

// known notes a missing operand.
func known(s *state, a []any) bool { return a[0] != nil && a[1] != nil || s.miss() }
