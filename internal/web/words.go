package web

// changeOrder and changeWords explain a producer's counters.
var changeOrder = []string{"create", "update", "delete", "merge", "expire", "retract", "unchanged", "duplicate", "rejected"}

var changeWords = map[string]string{
	"create":    "objects seen for the first time",
	"update":    "objects whose content changed",
	"delete":    "objects the source took back",
	"merge":     "objects the source merged into one",
	"expire":    "objects whose valid_until has passed",
	"retract":   "events that tell readers to drop what they may no longer hold",
	"unchanged": "read again with the same content: no event",
	"duplicate": "the same id twice in one read: the newest counts",
	"rejected":  "unusable input: dead letters",
}

// gateWords explain what each gate holds back, and so which key to change if that was not wanted. The names are those of
// the configuration; a gate that is not listed here is shown with its name alone.
var gateWords = map[string]string{
	"producers":      "from producers this consumer does not list",
	"types":          "of types it does not list",
	"ops":            "with operations it does not list",
	"where":          "for which the expression is false",
	"where_missing":  "without a property that the expression needs",
	"missing":        "without a property that the expression needs",
	"changed":        "updates that touched none of the listed properties",
	"max_tlp":        "above its TLP ceiling (unmarked_as says what no marking counts as)",
	"allow_markings": "with a marking the gate does not know",
	"organizations":  "shared with other organizations only",
	"expired":        "already expired when they came in",
	"expiry":         "already expired when they came in",
	"backfill":       "of a first import or a recovery, not news",
	"prefer":         "another producer's version counts",
	"echo":           "its own platform's events",
	"superseded":     "overtaken by a newer version",
}
