package stix

import "strings"

// octiTypes are the id prefixes that OpenCTI 7.261026 takes.
var octiTypes = func() map[string]bool {
	m := map[string]bool{}
	for _, typ := range strings.Fields(`
		ai-prompt artifact attack-pattern autonomous-system bank-account campaign capability case-incident case-rfi case-rft
		channel course-of-action credential cryptocurrency-wallet cryptographic-key data-component data-source deleteoperation
		directory domain-name draftworkspace email-addr email-message email-mime-part-type event external-reference feedback
		file group grouping hostname iccid identity imei imsi incident indicator infrastructure intrusion-set ipv4-addr
		ipv6-addr kill-chain-phase label language location mac-addr malware malware-analysis marking-definition media-content
		mutex narrative network-traffic note notification observed-data opinion payment-card persona phone-number pir playbook
		process publicdashboard relationship report role security-coverage security-coverage-result settings sighting
		simple-observable software ssh-key task text threat-actor tool tracking-number trash url user user-account user-agent
		vocabulary vulnerability windows-registry-key windows-registry-value-type work workspace x-mitre-data-component
		x-mitre-data-source x-opencti-case-incident x-opencti-case-rfi x-opencti-case-rft x-opencti-feedback x-opencti-task
		x509-certificate`) {
		m[typ] = true
	}
	return m
}()

// OpenCTITypes reports whether OpenCTI takes objects whose id has this prefix (as of
// 7.261026). Older platforms lack ai-prompt, iccid, imei, imsi and
// security-coverage-result.
func OpenCTITypes(typ string) bool { return octiTypes[typ] }
