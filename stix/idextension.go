package stix

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// extensions are the members that are cleaned in the extensions that the specification
// defines; all others are kept as they are.
var extensions = map[string]map[string]kind{
	"archive-ext":      {"contains_refs": kindRefs, "comment": kindText},
	"ntfs-ext":         {"sid": kindText, "alternate_data_streams": kindStreams},
	"pdf-ext":          {"version": kindText, "is_optimized": kindBool, "document_info_dict": kindDictionary, "pdfid0": kindText, "pdfid1": kindText},
	"raster-image-ext": {"image_height": kindInteger, "image_width": kindInteger, "bits_per_pixel": kindInteger, "exif_tags": kindDictionary},
	"windows-pebinary-ext": {
		"pe_type": kindText, "imphash": kindText, "machine_hex": kindHex, "number_of_sections": kindInteger, "time_date_stamp": kindSeconds,
		"pointer_to_symbol_table_hex": kindHex, "number_of_symbols": kindInteger, "size_of_optional_header": kindInteger,
		"characteristics_hex": kindHex, "file_header_hashes": kindHashes, "optional_header": kindOptionalHeader, "sections": kindSections,
	},
	"http-request-ext": {"request_method": kindText, "request_value": kindText, "request_version": kindText, "request_header": kindDictionary, "message_body_length": kindInteger, "message_body_data_ref": kindRef},
	"icmp-ext":         {"icmp_type_hex": kindHex, "icmp_code_hex": kindHex},
	"socket-ext":       {"address_family": kindText, "is_blocking": kindBool, "is_listening": kindBool, "options": kindDictionary, "socket_type": kindText, "socket_descriptor": kindInteger, "socket_handle": kindInteger},
	"tcp-ext":          {"src_flags_hex": kindHex, "dst_flags_hex": kindHex},
}

var (
	stream  = map[string]kind{"name": kindText, "hashes": kindHashes, "size": kindInteger}
	section = map[string]kind{"name": kindText, "size": kindInteger, "entropy": kindFloat, "hashes": kindHashes}

	registryValue = map[string]kind{"name": kindText, "data": kindText, "data_type": kindText}

	optionalHeader = func() map[string]kind {
		m := map[string]kind{"hashes": kindHashes}
		for _, name := range []string{"magic", "win32_version_value", "checksum", "subsystem", "dll_characteristics", "loader_flags"} {
			m[name+"_hex"] = kindHex
		}
		for _, name := range []string{
			"major_linker_version", "minor_linker_version", "size_of_code", "size_of_initialized_data", "size_of_uninitialized_data",
			"address_of_entry_point", "base_of_code", "base_of_data", "image_base", "section_alignment", "file_alignment",
			"major_os_version", "minor_os_version", "major_image_version", "minor_image_version", "major_subsystem_version",
			"minor_subsystem_version", "size_of_image", "size_of_headers", "size_of_stack_reserve", "size_of_stack_commit",
			"size_of_heap_reserve", "size_of_heap_commit", "number_of_rva_and_sizes",
		} {
			m[name] = kindInteger
		}
		return m
	}()
)

// dataTypes are the types that a registry value may have.
var dataTypes = []string{
	"REG_NONE", "REG_SZ", "REG_EXPAND_SZ", "REG_BINARY", "REG_DWORD", "REG_DWORD_BIG_ENDIAN", "REG_DWORD_LITTLE_ENDIAN", "REG_LINK",
	"REG_MULTI_SZ", "REG_RESOURCE_LIST", "REG_FULL_RESOURCE_DESCRIPTION", "REG_RESOURCE_REQUIREMENTS_LIST", "REG_QWORD", "REG_INVALID_TYPE",
}

func cleanExtensions(dst, raw []byte) ([]byte, error) {
	if raw[0] != '{' {
		return nil, errors.New("not a dictionary")
	}
	var list []memberAt
	for key, value := range members(raw) {
		if value[0] != '{' {
			return nil, fmt.Errorf("extension %.80q is not an object", key)
		}
		if fields, ok := extensions[key]; ok {
			cleaned, err := cleanFields(nil, value, fields)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			value = cleaned
		} else if id, ok := strings.CutPrefix(key, "extension-definition--"); ok && !idShape("x--"+id) {
			return nil, fmt.Errorf("extension %.80q is not named by an id", key)
		}
		list = append(list, memberAt{[]byte(key), value})
	}
	return canonical{last: true, noNull: true}.members(dst, list)
}

// cleanFields writes an object whose members are cleaned by name; null and [] are dropped.
func cleanFields(dst, raw []byte, fields map[string]kind) ([]byte, error) {
	if raw[0] != '{' {
		return nil, errors.New("not an object")
	}
	var list []memberAt
	for key, value := range members(raw) {
		if value[0] == 'n' || string(value) == "[]" {
			list = slices.DeleteFunc(list, func(m memberAt) bool { return string(m.name) == key })
			continue
		}
		if kind, ok := fields[key]; ok {
			cleaned, err := kind.clean(nil, value)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			value = cleaned
		}
		list = append(list, memberAt{[]byte(key), value})
	}
	return canonical{last: true, noNull: true}.members(dst, list)
}

// cleanObjects cleans one object or a list of them by the fields of their kind.
func cleanObjects(dst, raw []byte, k kind) ([]byte, error) {
	fields := map[kind]map[string]kind{kindStreams: stream, kindSections: section, kindOptionalHeader: optionalHeader, kindValues: registryValue}[k]
	if k == kindOptionalHeader {
		return cleanFields(dst, raw, fields)
	}
	if raw[0] != '[' {
		return nil, errors.New("not a list")
	}
	dst = append(dst, '[')
	for n, element := range elements(raw) {
		if n > 0 {
			dst = append(dst, ',')
		}
		if k == kindValues {
			if typ, ok := lookup(element, "data_type"); ok && typ[0] != 'n' && !slices.Contains(dataTypes, strings.Trim(string(typ), `"`)) {
				return nil, fmt.Errorf("data_type %.40s is not one of the specification's", typ)
			}
		}
		var err error
		if dst, err = cleanFields(dst, element, fields); err != nil {
			return nil, fmt.Errorf("element %d: %w", n, err)
		}
	}
	return append(dst, ']'), nil
}

// idShape reports whether s has the form of a STIX id: type--uuid, of the usual variant.
func idShape(s string) bool {
	_, id, ok := strings.Cut(s, "--")
	return ok && uuidShape(id) && strings.IndexByte("89abAB", id[19]) >= 0
}

// uuidShape reports whether s has the form of a UUID.
func uuidShape(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return false
			}
		} else if hexDigit(s[i]) < 0 {
			return false
		}
	}
	return true
}
