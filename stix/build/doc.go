// Package build makes STIX 2.1 objects as producers need them, in the shape in which OpenCTI
// takes them: with deterministic ids, dates in the form that makes the ids match the
// platform's, and OpenCTI's properties at the top level, where they do not change the ids of
// observables.
//
// A [Builder] collects properties; [Builder.Object] makes the object. There is no object
// without an id, and nothing depends on the clock: dates come from the source, so that the
// same input gives the same object.
package build
