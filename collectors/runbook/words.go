package runbook

import (
	"strings"

	"github.com/siteprobe/siteprobe/collectors/diagnosis"
)

// Words are what a card, and a notice of one, says around its text, in a language.
type Words struct {
	Lang       string // the language they are in
	Check      string // headings
	Technician string
	Call       string
	Provider   string // of a provider without a name
	Circuit    string
	Support    string // of an MSP's support without a name
	Owners     map[diagnosis.Owner]string
}

// words are there for the built-in languages; the first is for all others.
var words = []Words{
	{Lang: "en", Check: "What you can check", Technician: "What a technician does then", Call: "Whom to call",
		Provider: "your internet provider", Circuit: "line", Support: "your IT support",
		Owners: map[diagnosis.Owner]string{diagnosis.Customer: "the site", diagnosis.ISP: "the internet provider", diagnosis.MSP: "the IT support", diagnosis.Nobody: "not clear yet"}},
	{Lang: "de", Check: "Was Sie prüfen können", Technician: "Was danach ein Techniker tut", Call: "Wen Sie anrufen",
		Provider: "Ihr Internetanbieter", Circuit: "Anschluss", Support: "Ihre IT-Betreuung",
		Owners: map[diagnosis.Owner]string{diagnosis.Customer: "der Standort", diagnosis.ISP: "der Internetanbieter", diagnosis.MSP: "die IT-Betreuung", diagnosis.Nobody: "noch unklar"}},
}

// WordsOf gives the words of a language, or the English ones.
func WordsOf(lang string) *Words {
	base, _, _ := strings.Cut(strings.ToLower(lang), "-")
	for i := range words {
		if words[i].Lang == base {
			return &words[i]
		}
	}
	return &words[0]
}
