package where

import (
	"cmp"
	"reflect"
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/stix"
)

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
