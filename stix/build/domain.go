package build

import (
	"strings"
	"time"

	"github.com/stixbridge/stixbridge/stix"
)

// Identity is an author or another party. class is individual, group, system, organization
// or class (a sector).
func Identity(name, class string) *Builder {
	return domain("identity").need("name", name).need("identity_class", class)
}

// Malware is a malware family, or an instance.
func Malware(name string, family bool) *Builder {
	return domain("malware").need("name", name).Set("is_family", family)
}

// ThreatActor is a group, or with individual a person.
func ThreatActor(name string, individual bool) *Builder {
	kind := "Threat-Actor-Group"
	if individual {
		kind = "Threat-Actor-Individual"
	}
	return domain("threat-actor").need("name", name).Set("x_opencti_type", kind)
}

// IntrusionSet is an intrusion set.
func IntrusionSet(name string) *Builder { return domain("intrusion-set").need("name", name) }

// Campaign is a campaign.
func Campaign(name string) *Builder { return domain("campaign").need("name", name) }

// Tool is a tool.
func Tool(name string) *Builder { return domain("tool").need("name", name) }

// AttackPattern is a technique. mitreID, as T1059.001, may be empty; it then is identified
// by its name.
func AttackPattern(name, mitreID string) *Builder {
	return domain("attack-pattern").need("name", name).Set("x_mitre_id", mitreID)
}

// Infrastructure is infrastructure.
func Infrastructure(name string) *Builder { return domain("infrastructure").need("name", name) }

// Report is a report about objects, at least one.
func Report(name string, published time.Time, about ...stix.Object) *Builder {
	b := domain("report").need("name", name)
	if published.IsZero() {
		return b.fail("published is needed")
	}
	return b.Set("published", published).Created(published).about(about)
}

// Note is a note about objects, at least one.
func Note(content string, about ...stix.Object) *Builder {
	return domain("note").need("content", content).about(about)
}

func (b *Builder) about(objects []stix.Object) *Builder {
	if len(objects) == 0 {
		return b.fail("it must be about at least one object")
	}
	return b.refer("object_refs", objects)
}

// refer adds references to objects, none of which may be the zero Object.
func (b *Builder) refer(name string, objects []stix.Object) *Builder {
	for _, o := range objects {
		if o.IsZero() {
			return b.fail("%s: one of the objects holds nothing", name)
		}
		b.add(name, o.ID())
	}
	return b
}

// Relationship is a relationship, as uses or indicates, between two objects.
func Relationship(kind string, source, target stix.Object) *Builder {
	return domain("relationship").need("relationship_type", kind).need("source_ref", source.ID()).need("target_ref", target.ID())
}

// Between sets the period of a relationship, which is part of its identity. Either may be
// zero.
func (b *Builder) Between(start, stop time.Time) *Builder {
	if !start.IsZero() && !stop.IsZero() && Time(stop) <= Time(start) {
		return b.fail("a period must end after it starts")
	}
	return b.Set("start_time", start).Set("stop_time", stop)
}

// Sighting says that something was seen by parties or at places, at least one: the platform
// demands it.
func Sighting(of stix.Object, first, last time.Time, count int, where ...stix.Object) *Builder {
	b := domain("sighting").need("sighting_of_ref", of.ID()).Set("first_seen", first).Set("last_seen", last)
	if count < 0 || count > 999_999_999 {
		return b.fail("count %d is not between 0 and 999999999", count)
	}
	if last.Before(first) && !last.IsZero() {
		return b.fail("last seen before first seen")
	}
	if count > 0 {
		b.Set("count", count)
	}
	if len(where) == 0 {
		return b.fail("it must say where it was seen")
	}
	return b.refer("where_sighted_refs", where)
}

// Country is a country by its name and ISO 3166 code.
func Country(name, code string) *Builder {
	return place("Country", name).need("country", strings.ToUpper(code))
}

// Region is a region of the world; code is the vocabulary's, as western-europe.
func Region(name, code string) *Builder { return place("Region", name).need("region", code) }

// City is a city in a country.
func City(name, countryCode string) *Builder {
	return place("City", name).Set("city", name).need("country", strings.ToUpper(countryCode))
}

// AdministrativeArea is a part of a country.
func AdministrativeArea(name, countryCode string) *Builder {
	return place("Administrative-Area", name).Set("administrative_area", name).need("country", strings.ToUpper(countryCode))
}

// Position is a point on the map.
func Position(name string, latitude, longitude float64) *Builder {
	b := place("Position", name)
	if latitude < -90 || latitude > 90 || longitude < -180 || longitude > 180 {
		return b.fail("no such place: %v, %v", latitude, longitude)
	}
	return b.Set("latitude", latitude).Set("longitude", longitude)
}

func place(kind, name string) *Builder {
	return domain("location").need("name", name).Set("x_opencti_location_type", kind)
}
