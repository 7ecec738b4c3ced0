package where

import (
	"cmp"
	"math"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/expr-lang/expr/builtin"

	"github.com/stixbridge/stixbridge/stix"
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

// number reads any number; a duration and a TLP level are none.
func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int:
		return float64(n), true
	case float64:
		return n, true
	case time.Duration:
		return 0, false
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return float64(r.Int()), true
	case reflect.Uint, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return float64(r.Uint()), true
	}
	return 0, false
}

func equal(a, b any) bool {
	switch x := a.(type) {
	case string:
		switch y := b.(type) {
		case string:
			return x == y
		case identity:
			return y.id == x || y.name == x
		case stix.TLP:
			level, err := stix.ParseTLP(x)
			return err == nil && level == y
		}
	case bool:
		y, ok := b.(bool)
		return ok && x == y
	case identity:
		if y, ok := b.(identity); ok {
			return x.id == y.id
		}
		_, text := b.(string)
		return text && equal(b, a)
	case stix.TLP:
		if y, ok := b.(stix.TLP); ok {
			return x == y
		}
		_, text := b.(string)
		return text && equal(b, a)
	}
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	if c, ok := compare(a, b); ok {
		return c == 0
	}
	return reflect.DeepEqual(a, b)
}

// compare orders two values of one kind: numbers, texts, times (also a time and its text), TLP levels.
func compare(a, b any) (int, bool) {
	if x, ok := number(a); ok {
		y, ok := number(b)
		return cmp.Compare(x, y), ok
	}
	switch x := a.(type) {
	case string:
		switch y := b.(type) {
		case string:
			return strings.Compare(x, y), true
		case time.Time:
			t, err := time.Parse(time.RFC3339, x)
			return t.Compare(y), err == nil
		case stix.TLP:
			level, err := stix.ParseTLP(x)
			return level.Rank() - y.Rank(), err == nil
		}
	case stix.TLP:
		switch y := b.(type) {
		case stix.TLP:
			return x.Rank() - y.Rank(), true
		case string:
			level, err := stix.ParseTLP(y)
			return x.Rank() - level.Rank(), err == nil
		}
	case time.Time:
		switch y := b.(type) {
		case time.Time:
			return x.Compare(y), true
		case string:
			c, ok := compare(b, a)
			return -c, ok
		}
	case time.Duration:
		if y, ok := b.(time.Duration); ok {
			return int(max(-1, min(1, x-y))), true
		}
	}
	return 0, false
}

func in(s *state, a, b any) bool {
	switch list := b.(type) {
	case map[string]struct{}: // a list of texts that stands in the expression
		switch x := a.(type) {
		case string:
			_, ok := list[x]
			return ok
		case identity:
			return x.any(func(t string) bool { _, ok := list[t]; return ok })
		case stix.TLP:
			for t := range list {
				if equal(t, x) {
					return true
				}
			}
		}
		return false
	case []any:
		s.steps += len(list)
		for _, v := range list {
			if v != nil && equal(a, v) {
				return true
			}
		}
		return false
	case []string:
		for _, v := range list {
			if equal(a, v) {
				return true
			}
		}
		return false
	case []int:
		for _, v := range list {
			if equal(a, v) {
				return true
			}
		}
		return false
	case map[string]any:
		if x, ok := a.(string); ok {
			_, ok = list[x]
			return ok
		}
		return false
	}
	return s.miss()
}

func texts(s *state, a, b any, match func(s, t string) bool) bool {
	t, ok := b.(string)
	if !ok {
		return s.miss()
	}
	switch x := a.(type) {
	case string:
		return match(x, t)
	case identity:
		return x.any(func(v string) bool { return match(v, t) })
	}
	return s.miss()
}

func calculate(op string, a, b any) any {
	if op == "+" {
		if x, ok := a.(string); ok {
			if y, ok := b.(string); ok && len(x)+len(y) < 1<<20 {
				return x + y
			}
			return nil
		}
	}
	switch x := a.(type) { // numbers below; a level is none
	case time.Time:
		switch y := b.(type) {
		case time.Duration:
			if op == "+" {
				return x.Add(y)
			} else if op == "-" {
				return x.Add(-y)
			}
		case time.Time:
			if op == "-" {
				return x.Sub(y)
			}
		}
		return nil
	}
	x, ok := number(a)
	y, ok2 := number(b)
	if !ok || !ok2 {
		return nil
	}
	var f float64
	switch op {
	case "+":
		f = x + y
	case "-":
		f = x - y
	case "*":
		f = x * y
	case "/":
		f = x / y
	case "%":
		f = math.Mod(x, y)
	case "**":
		f = math.Pow(x, y)
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int(f)
	}
	return f
}

// get is a member of a mapping or an item of a list (from the end when negative); nil when there is none.
func get(v, key any) any {
	switch v := v.(type) {
	case map[string]any:
		if k, ok := key.(string); ok {
			return v[k]
		}
	case []any:
		f, ok := number(key)
		i := int(f)
		if !ok || f != float64(i) {
			return nil
		}
		if i < 0 {
			i += len(v)
		}
		if i >= 0 && i < len(v) {
			return v[i]
		}
	}
	return nil
}

func slice(v, from, to any) any {
	n := 0
	switch v := v.(type) {
	case []any:
		n = len(v)
	case string:
		n = len(v)
	default:
		return nil
	}
	bound := func(b any, def int) int {
		f, ok := number(b)
		if !ok {
			return def
		}
		i := int(max(-float64(n), min(float64(n), f)))
		if i < 0 {
			i += n
		}
		return i
	}
	i, j := bound(from, 0), bound(to, n)
	if i > j {
		i = j
	}
	switch v := v.(type) {
	case []any:
		return v[i:j]
	case string:
		return v[i:j]
	}
	return nil
}

// call runs a function of the language; what it cannot take is as good as missing.
func call(b *builtin.Function, a []any) (out any) {
	defer func() {
		if recover() != nil {
			out = nil
		}
	}()
	args := make([]any, len(a))
	for i, v := range a {
		switch v := v.(type) {
		case nil:
			if b.Name != "type" {
				return nil
			}
		case identity:
			args[i] = v.text()
			continue
		case stix.TLP:
			args[i] = v.String()
			continue
		}
		args[i] = v
	}
	var err error
	switch {
	case b.Fast != nil:
		return b.Fast(args[0])
	case b.Safe != nil:
		out, _, err = b.Safe(args...)
	default:
		out, err = b.Func(args...)
	}
	if err != nil {
		return nil
	}
	return out
}
