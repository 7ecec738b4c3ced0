package validate

var (
	sdoProperties = table("3.2", sdo, `
		created_by_ref id; labels [string]; revoked bool; confidence int(0..100); lang lang;
		external_references [external]; object_marking_refs [id(marking-definition)]; granular_markings [granular]`).properties

	scoProperties = table("3.2", sco, `
		object_marking_refs [id(marking-definition)]; granular_markings [granular]; defanged bool`).properties

	markingProperties = table("7.2.1", marking, `
		created_by_ref id; created time; external_references [external]; object_marking_refs [id(marking-definition)];
		granular_markings [granular]; name string`).properties
)

// types are the types that the specification defines.
var types map[string]*rule

func init() {
	types = map[string]*rule{
		"attack-pattern":   table("4.1", sdo, `name! string; description string; aliases [string]?; kill_chain_phases [chain]`),
		"campaign":         table("4.2", sdo, `name! string; description string; aliases [string]; first_seen time; last_seen time; objective string`).inOrder("first_seen", "last_seen", ""),
		"course-of-action": table("4.3", sdo, `name! string; description string`),
		"grouping":         table("4.4", sdo, `name string; description string; context! string; object_refs! [id]`),
		"identity":         table("4.5", sdo, `name! string; description string; roles [string]; identity_class string; sectors [string]; contact_information string`),
		"incident":         table("4.6", sdo, `name! string; description string`),
		"indicator": table("4.7", sdo, `name string; description string; indicator_types [string]; pattern! string; pattern_type! string;
			pattern_version string; valid_from! time; valid_until time; kill_chain_phases [chain]`).inOrder("valid_from", "valid_until", "after").also(indicator),
		"infrastructure": table("4.8", sdo, `name! string; description string; infrastructure_types [string]; aliases [string];
			kill_chain_phases [chain]; first_seen time; last_seen time`).inOrder("first_seen", "last_seen", ""),
		"intrusion-set": table("4.9", sdo, `name! string; description string; aliases [string]; first_seen time; last_seen time; goals [string];
			resource_level string; primary_motivation string; secondary_motivations [string]`).inOrder("first_seen", "last_seen", ""),
		"location": table("4.10", sdo, `name string; description string; latitude num(-90..90); longitude num(-180..180); precision num;
			region string; country string; administrative_area string; city string; street_address string; postal_code string`).also(location),
		"malware": table("4.11", sdo, `name string; description string; malware_types [string]; is_family! bool; aliases [string];
			kill_chain_phases [chain]; first_seen time; last_seen time; operating_system_refs [id(software)]; architecture_execution_envs [string];
			implementation_languages [string]; capabilities [string]; sample_refs [string]`).inOrder("first_seen", "last_seen", "").also(malware),
		"malware-analysis": table("4.12", sdo, `product! string; version string; host_vm_ref id(software); operating_system_ref id(software);
			installed_software_refs [id(software)]; configuration_version string; modules [string]; analysis_engine_version string;
			analysis_definition_version string; submitted time; analysis_started time; analysis_ended time; result_name string; result string;
			analysis_sco_refs [id]; sample_ref id(file|artifact|network-traffic)`).any("result", "analysis_sco_refs"),
		"note": table("4.13", sdo, `abstract string; content! string; authors [string]; object_refs! [id]`),
		"observed-data": table("4.14", sdo, `first_observed! time; last_observed! time; number_observed! int(1..999999999);
			object_refs [id(!attack-pattern|campaign|course-of-action|grouping|identity|incident|indicator|infrastructure|intrusion-set|location|malware-analysis|malware|note|observed-data|opinion|report|threat-actor|tool|vulnerability)]`).
			inOrder("first_observed", "last_observed", "").also(observedData),
		"opinion": table("4.15", sdo, `explanation string; authors [string]; opinion! enum(strongly-disagree|disagree|neutral|agree|strongly-agree); object_refs! [id]`),
		"report":  table("4.16", sdo, `name! string; description string; report_types [string]; published! time; object_refs! [id]`),
		"threat-actor": table("4.17", sdo, `name! string; description string; threat_actor_types [string]; aliases [string]; first_seen time; last_seen time;
			roles [string]; goals [string]; sophistication string; resource_level string; primary_motivation string;
			secondary_motivations [string]; personal_motivations [string]`).inOrder("first_seen", "last_seen", ""),
		"tool":          table("4.18", sdo, `name! string; description string; tool_types [string]; aliases [string]; kill_chain_phases [chain]; tool_version string`),
		"vulnerability": table("4.19", sdo, `name! string; description string`),

		"relationship": table("5.1", sdo, `relationship_type! verb; description string; start_time time; stop_time time;
			source_ref! id(!relationship|sighting|bundle|marking-definition|language-content);
			target_ref! id(!relationship|sighting|bundle|marking-definition|language-content)`).inOrder("start_time", "stop_time", "after"),
		"sighting": table("5.2", sdo, `description string; first_seen time; last_seen time; count int(0..999999999);
			sighting_of_ref! id(!sighting|relationship|bundle|marking-definition|language-content); observed_data_refs [id(observed-data)];
			where_sighted_refs [id(identity|location)]; summary bool`).inOrder("first_seen", "last_seen", ""),

		"language-content": table("7.1", sdo, `object_ref! id(!bundle|language-content); object_modified time; contents! dict`).also(languageContent),
		"extension-definition": table("7.3", sdo, `name! string; description string; schema! string; version! string;
			extension_types! [enum(new-sdo|new-sco|new-sro|property-extension|toplevel-property-extension)]; extension_properties [string]`).also(extensionDefinition),
		"marking-definition": table("7.2.1", marking, `definition_type string; definition any`).also(markingDefinition),
	}
	for name, r := range observables() {
		types[name] = r
	}
	for _, r := range types {
		r.named = r.class != marking
	}
}
