// Package pattern parses, checks, formats, matches and translates STIX 2.1 patterns.
//
// [Parse] follows the grammar of the specification and reports errors with their place.
// [Pattern.Check] adds what a validator demands beyond it. [Extract] turns a pattern into
// observables, but only one that means exactly "any of these": what a blocklist would get
// wrong is refused with a reason. [Pattern.Match] tests a single observable.
package pattern
