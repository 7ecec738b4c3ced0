// Package stixcmd holds the filters behind "stixbridge stix": each reads standard input,
// one JSON value a line (split a bundle), and writes one line per result. What is wrong with
// a line is said on errs and never ends the run; a returned error means that the input could
// not be read or the output not be written.
package stixcmd
