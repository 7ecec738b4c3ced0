// Package validate checks STIX 2.1 objects and bundles against what the specification says
// they MUST be. Recommendations (SHOULD) are not checked.
//
// Each [Error] names the place by a JSON pointer, the rule and the section of the
// specification. Two levels: the specification alone, and with [Validator.OpenCTI] what the
// platform writes and reads all the same (reserved property names, its own TLP markings,
// locations without a country).
//
// It works on untrusted input: it never panics, and the number of errors, the depth and the
// size are bounded.
package validate
