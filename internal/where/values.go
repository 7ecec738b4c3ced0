package where

import (
	"math"
	"time"

	"github.com/expr-lang/expr/builtin"

	"github.com/stixbridge/stixbridge/stix"
)

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
