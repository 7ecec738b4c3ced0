package validate

func observables() map[string]*rule {
	return map[string]*rule{
		"artifact": table("6.1", sco, `mime_type mime; payload_bin bin; url url; hashes hashes;
			encryption_algorithm enum(AES-256-GCM|ChaCha20-Poly1305|mime-type-indicated); decryption_key string`).also(artifact),
		"autonomous-system": table("6.2", sco, `number! int; name string; rir string`),
		"directory":         table("6.3", sco, `path! string; path_enc charset; ctime time; mtime time; atime time; contains_refs [ref(file|directory)]`),
		"domain-name":       table("6.4", sco, `value! domain; resolves_to_refs [ref(ipv4-addr|ipv6-addr|domain-name)]`),
		"email-addr":        table("6.5", sco, `value! email; display_name string; belongs_to_ref ref(user-account)`),
		"email-message": table("6.6", sco, `is_multipart! bool; date time; content_type string; from_ref ref(email-addr); sender_ref ref(email-addr);
			to_refs [ref(email-addr)]; cc_refs [ref(email-addr)]; bcc_refs [ref(email-addr)]; message_id string; subject string;
			received_lines [string]?; body string; raw_email_ref ref(artifact)`).also(emailMessage),
		"file": table("6.7", sco, `hashes hashes; size int(0..); name string; name_enc charset; magic_number_hex hex; mime_type string;
			ctime time; mtime time; atime time; parent_directory_ref ref(directory); contains_refs [ref()]; content_ref ref(artifact)`).any("hashes", "name"),
		"ipv4-addr": table("6.8", sco, `value! ip4; resolves_to_refs [ref(mac-addr)]; belongs_to_refs [ref(autonomous-system)]`),
		"ipv6-addr": table("6.9", sco, `value! ip6; resolves_to_refs [ref(mac-addr)]; belongs_to_refs [ref(autonomous-system)]`),
		"mac-addr":  table("6.10", sco, `value! mac`),
		"mutex":     table("6.11", sco, `name! string`),
		"network-traffic": table("6.12", sco, `start time; end time; is_active bool; src_ref ref(ipv4-addr|ipv6-addr|mac-addr|domain-name);
			dst_ref ref(ipv4-addr|ipv6-addr|mac-addr|domain-name); src_port int(0..65535); dst_port int(0..65535); protocols! [string];
			src_byte_count int; dst_byte_count int; src_packets int; dst_packets int; ipfix dict; src_payload_ref ref(artifact);
			dst_payload_ref ref(artifact); encapsulates_refs [ref(network-traffic)]; encapsulated_by_ref ref(network-traffic)`).
			any("src_ref", "dst_ref").inOrder("start", "end", "").also(networkTraffic),
		"process": table("6.13", sco, `is_hidden bool; pid int; created_time time; cwd string; command_line string; environment_variables dict;
			opened_connection_refs [ref(network-traffic)]; creator_user_ref ref(user-account); image_ref ref(file); parent_ref ref(process);
			child_refs [ref(process)]`).any("extensions", "is_hidden", "pid", "created_time", "cwd", "command_line", "environment_variables",
			"opened_connection_refs", "creator_user_ref", "image_ref", "parent_ref", "child_refs").also(process),
		"software": table("6.14", sco, `name! string; cpe cpe; swid string; languages [lang]; vendor string; version string`),
		"url":      table("6.15", sco, `value! url`),
		"user-account": table("6.16", sco, `user_id string; credential string; account_login string; account_type string; display_name string;
			is_service_account bool; is_privileged bool; can_escalate_privs bool; is_disabled bool; account_created time; account_expires time;
			credential_last_changed time; account_first_login time; account_last_login time`).any("extensions", "user_id", "credential", "account_login",
			"account_type", "display_name", "is_service_account", "is_privileged", "can_escalate_privs", "is_disabled", "account_created",
			"account_expires", "credential_last_changed", "account_first_login", "account_last_login").also(contributing("account_type", "user_id", "account_login")),
		"windows-registry-key": table("6.17", sco, `key string; values [any]; modified_time time; creator_user_ref ref(user-account); number_of_subkeys int`).
			any("key", "values", "modified_time", "creator_user_ref", "number_of_subkeys").also(registryKey),
		"x509-certificate": table("6.18", sco, `is_self_signed bool; hashes hashes; version string; serial_number string; signature_algorithm string;
			issuer string; validity_not_before time; validity_not_after time; subject string; subject_public_key_algorithm string;
			subject_public_key_modulus string; subject_public_key_exponent int; x509_v3_extensions dict`).any("is_self_signed", "hashes", "version",
			"serial_number", "signature_algorithm", "issuer", "validity_not_before", "validity_not_after", "subject", "subject_public_key_algorithm",
			"subject_public_key_modulus", "subject_public_key_exponent", "x509_v3_extensions").also(certificate),
	}
}

// extensionRules are the extensions that the specification defines, by type and name.
var extensionRules = map[string]map[string]*rule{
	"file": {
		"archive-ext": table("6.7.2", sco, `contains_refs! [ref()]; comment string`),
		"ntfs-ext":    table("6.7.3", sco, `sid string; alternate_data_streams [any]`).any("sid", "alternate_data_streams").also(streams),
		"pdf-ext": table("6.7.5", sco, `version string; is_optimized bool; document_info_dict dict; pdfid0 string; pdfid1 string`).
			any("version", "is_optimized", "document_info_dict", "pdfid0", "pdfid1").also(texts("document_info_dict")),
		"raster-image-ext": table("6.7.6", sco, `image_height int; image_width int; bits_per_pixel int; exif_tags dict`).
			any("image_height", "image_width", "bits_per_pixel", "image_compression_algorithm", "exif_tags").also(exif),
		"windows-pebinary-ext": table("6.7.7", sco, `pe_type! string; imphash string; machine_hex hex; number_of_sections int(0..); time_date_stamp time;
			pointer_to_symbol_table_hex hex; number_of_symbols int(0..); size_of_optional_header int(0..); characteristics_hex hex;
			file_header_hashes hashes; optional_header dict; sections [any]`).any("imphash", "machine_hex", "number_of_sections", "time_date_stamp",
			"pointer_to_symbol_table_hex", "number_of_symbols", "size_of_optional_header", "characteristics_hex", "file_header_hashes",
			"optional_header", "sections").also(portableExecutable),
	},
	"network-traffic": {
		"http-request-ext": table("6.12.3", sco, `request_method! string; request_value! string; request_version string; request_header dict;
			message_body_length int; message_body_data_ref ref(artifact)`).also(requestHeader),
		"icmp-ext": table("6.12.4", sco, `icmp_type_hex! hex; icmp_code_hex! hex`),
		"socket-ext": table("6.12.5", sco, `address_family! enum(AF_UNSPEC|AF_INET|AF_IPX|AF_APPLETALK|AF_NETBIOS|AF_INET6|AF_IRDA|AF_BTH);
			is_blocking bool; is_listening bool; options dict; socket_type enum(SOCK_STREAM|SOCK_DGRAM|SOCK_RAW|SOCK_RDM|SOCK_SEQPACKET);
			socket_descriptor int(0..); socket_handle int`).also(socketOptions),
		"tcp-ext": table("6.12.6", sco, `src_flags_hex hex; dst_flags_hex hex`).any("src_flags_hex", "dst_flags_hex"),
	},
	"process": {
		"windows-process-ext": table("6.13.2", sco, `aslr_enabled bool; dep_enabled bool; priority string; owner_sid string; window_title string;
			startup_info dict; integrity_level enum(low|medium|high|system)`).any("aslr_enabled", "dep_enabled", "priority", "owner_sid",
			"window_title", "startup_info", "integrity_level").also(startupInfo),
		"windows-service-ext": table("6.13.3", sco, `service_name string; descriptions [string]; display_name string; group_name string;
			start_type enum(SERVICE_AUTO_START|SERVICE_BOOT_START|SERVICE_DEMAND_START|SERVICE_DISABLED|SERVICE_SYSTEM_ALERT);
			service_dll_refs [ref(file)];
			service_type enum(SERVICE_KERNEL_DRIVER|SERVICE_FILE_SYSTEM_DRIVER|SERVICE_WIN32_OWN_PROCESS|SERVICE_WIN32_SHARE_PROCESS);
			service_status enum(SERVICE_CONTINUE_PENDING|SERVICE_PAUSE_PENDING|SERVICE_PAUSED|SERVICE_RUNNING|SERVICE_START_PENDING|SERVICE_STOP_PENDING|SERVICE_STOPPED)`).
			any("service_name", "descriptions", "display_name", "group_name", "start_type", "service_dll_refs", "service_type", "service_status"),
	},
	"user-account": {
		"unix-account-ext": table("6.16.3", sco, `gid num; groups [string]; home_dir string; shell string`).any("gid", "groups", "home_dir", "shell"),
	},
}

var (
	streamRule  = table("6.7.4", sco, `name! string; hashes hashes; size int(0..)`)
	sectionRule = table("6.7.9", sco, `name! string; size int(0..); entropy num; hashes hashes`)

	headerRule = table("6.7.8", sco, `magic_hex hex; major_linker_version int; minor_linker_version int; size_of_code int(0..);
		size_of_initialized_data int(0..); size_of_uninitialized_data int(0..); address_of_entry_point int; base_of_code int; base_of_data int;
		image_base int; section_alignment int; file_alignment int; major_os_version int; minor_os_version int; major_image_version int;
		minor_image_version int; major_subsystem_version int; minor_subsystem_version int; win32_version_value_hex hex; size_of_image int(0..);
		size_of_headers int(0..); checksum_hex hex; subsystem_hex hex; dll_characteristics_hex hex; size_of_stack_reserve int(0..);
		size_of_stack_commit int(0..); size_of_heap_reserve int(0..); size_of_heap_commit int(0..); loader_flags_hex hex;
		number_of_rva_and_sizes int; hashes hashes`)

	valueRule = table("6.17.2", sco, `name string; data string; data_type enum(REG_NONE|REG_SZ|REG_EXPAND_SZ|REG_BINARY|REG_DWORD|REG_DWORD_BIG_ENDIAN|REG_DWORD_LITTLE_ENDIAN|REG_LINK|REG_MULTI_SZ|REG_RESOURCE_LIST|REG_FULL_RESOURCE_DESCRIPTION|REG_RESOURCE_REQUIREMENTS_LIST|REG_QWORD|REG_INVALID_TYPE)`).
			any("name", "data", "data_type")

	startupRule = table("6.13.2", sco, `lpDesktop string; lpTitle string; dwFillAttribute string; dwFlags string; wShowWindow string;
		hStdInput string; hStdOutput string; hStdError string; cb int; dwX int; dwY int; dwXSize int; dwYSize int; dwXCountChars int;
		dwYCountChars int; cbReserved2 int(0..0)`)

	partRule = table("6.6.2", sco, `body string; body_raw_ref ref(artifact|file); content_type string; content_disposition string`)

	v3Rule = table("6.18.2", sco, `basic_constraints string; name_constraints string; policy_constraints string; key_usage string;
		extended_key_usage string; subject_key_identifier string; authority_key_identifier string; subject_alternative_name string;
		issuer_alternative_name string; subject_directory_attributes string; crl_distribution_points string; inhibit_any_policy string;
		private_key_usage_period_not_before time; private_key_usage_period_not_after time; certificate_policies string; policy_mappings string`).
		any("basic_constraints", "name_constraints", "policy_constraints", "key_usage", "extended_key_usage", "subject_key_identifier",
			"authority_key_identifier", "subject_alternative_name", "issuer_alternative_name", "subject_directory_attributes",
			"crl_distribution_points", "inhibit_any_policy", "private_key_usage_period_not_before", "private_key_usage_period_not_after",
			"certificate_policies", "policy_mappings")
)
