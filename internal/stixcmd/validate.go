package stixcmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/stixbridge/stixbridge/stix/validate"
)

// Validate checks one object or bundle a line against STIX 2.1 and prints
// {"valid":true,"errors":[]} or {"valid":false,"errors":[{pointer, rule, section, message}]}.
func Validate(in io.Reader, out, errs io.Writer) error {
	return ValidateWith(in, out, errs, validate.Validator{})
}

// ValidateWith is [Validate] by the rules of v.
func ValidateWith(in io.Reader, out, errs io.Writer, v validate.Validator) error {
	return eachLine(in, out, func(n int, line []byte, out *bytes.Buffer) {
		result := struct {
			Valid  bool             `json:"valid"`
			Errors []validate.Error `json:"errors"`
		}{Errors: v.Raw(line)}
		if result.Valid = len(result.Errors) == 0; result.Valid {
			result.Errors = []validate.Error{}
		}
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(result); err != nil {
			fmt.Fprintf(errs, "line %d: %v\n", n, err)
			out.WriteString("{\"valid\":false,\"errors\":[]}\n")
		}
	})
}
