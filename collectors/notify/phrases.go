package notify

import "strings"

// phrases are what a message says around the card, in a language.
type phrases struct {
	lang                        string
	changed, over               string // prefixes
	inCharge                    string // in a line
	since, until, charge        string // names of facts
	affected, message, incident string
	devices, more               string // %d
	missed, lost                string // %d
	test, testSubject           string // %s: the notice
	digest, digestSubject       string // %d: all, open, over
	unsure                      string
	weekdays                    [7]string
	layout                      string
}

// languages are those there are; the first is for all others.
var languages = []phrases{
	{
		lang: "en", changed: "Changed: ", over: "Resolved: ", inCharge: "in charge",
		since: "Since", until: "Over since", charge: "In charge", affected: "Affected", message: "Message", incident: "Incident",
		devices: "%d in all", more: "and %d more",
		missed:        "Since the last message it came and went %d more times.",
		lost:          "%d older messages could not be sent and were dropped.",
		test:          "This is a test of the notice %q. If you can read this, it works: siteprobe tells here what breaks at the site, and when it is over.",
		testSubject:   "Test of the notice %q",
		digest:        "More messages than agreed on for an hour; this is what waited. \"siteprobe incidents\" shows how it stands now.",
		digestSubject: "%d messages at once: %d open, %d resolved",
		unsure:        "the box's clock is not certain",
		weekdays:      [7]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}, layout: "2 Jan 2006 15:04 MST",
	},
	{
		lang: "de", changed: "Geändert: ", over: "Behoben: ", inCharge: "zuständig",
		since: "Seit", until: "Behoben seit", charge: "Zuständig", affected: "Betroffen", message: "Meldung", incident: "Vorfall",
		devices: "%d insgesamt", more: "und %d weitere",
		missed:        "Seit der letzten Nachricht kam und ging die Störung noch %d Mal.",
		lost:          "%d ältere Nachrichten konnten nicht gesendet werden und wurden verworfen.",
		test:          "Dies ist ein Test der Benachrichtigung %q. Wenn Sie das lesen, funktioniert sie: siteprobe meldet hier, was am Standort ausfällt und wann es behoben ist.",
		testSubject:   "Test der Benachrichtigung %q",
		digest:        "Mehr Nachrichten als für eine Stunde vereinbart; hier ist, was gewartet hat. Wie es jetzt steht, zeigt „siteprobe incidents“.",
		digestSubject: "%d Nachrichten auf einmal: %d offen, %d behoben",
		unsure:        "die Uhr der Box ist nicht sicher",
		weekdays:      [7]string{"So", "Mo", "Di", "Mi", "Do", "Fr", "Sa"}, layout: "02.01.2006, 15:04 Uhr MST",
	},
}

func phrasesOf(lang string) *phrases {
	base, _, _ := strings.Cut(strings.ToLower(lang), "-")
	for i := range languages {
		if languages[i].lang == base {
			return &languages[i]
		}
	}
	return &languages[0]
}

func (p *phrases) prefix(what string) string {
	switch what {
	case whatUpdate:
		return p.changed
	case whatClose:
		return p.over
	}
	return ""
}
