// Package observable brings the values that feeds contain into one form, and tells what they
// are: addresses, names, URLs and hashes that are defanged, in upper case, with ports, in
// brackets or quotes.
//
// [Detect] finds the type by itself; [As] takes it from the source and checks it. Nothing is
// looked up and nothing is guessed that the value does not say, but for the scheme of a URL
// that has none ([Value.Assumed]).
package observable
