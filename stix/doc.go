// Package stix reads STIX 2.1 as it is found: objects stay the JSON that was received, with
// a scanned head (id, type, versions, markings) and everything else decoded on demand.
//
// [Parse] makes an [Object] out of bytes, [Reader] a sequence of them out of a bundle, a
// TAXII envelope, an array or JSON lines, streaming and in bounded memory. [ID] computes
// deterministic identifiers as OpenCTI's Python client does. [Markings] tells the TLP level
// of an object. [Split] cuts a bundle into single objects in the order of their references.
// [Object.Apply], [Diff], [Changes] and [Merge] are about versions, [Lift] about STIX 2.0.
//
// The packages beneath it: pattern parses and translates patterns, validate checks objects,
// observable normalises the values that feeds contain, build makes objects.
//
// Nothing here panics on data, opens a connection or keeps state behind the caller's back.
package stix
