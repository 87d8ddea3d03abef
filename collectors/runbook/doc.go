// Package runbook has a card for everything that can break: what it means in words that
// everybody understands, what to check on site, what a technician does then, and whom
// to call.
//
//	cards, problems := runbook.Open("/etc/siteprobe/runbooks.d", "de")
//	card := cards.Card("GW_DOWN", runbook.Vars{...})
//
// A card's name is a verdict's code, an incident's kind, or any word that a rule names.
// Cards are built in, in English and German; an MSP puts others in their place, or more,
// as files in a folder:
//
//	NAME.md        the card, in the language of whoever wrote it
//	NAME.LANG.md   the card in a language, such as GW_DOWN.fr.md
//
// Of several the first there is counts: the folder's in the site's language, the
// folder's without a language, the built-in one in the site's language, the English one.
// A file that is broken is reported, and counts as if it were not there.
//
// # The file
//
// It is text in UTF-8, of a few marks of Markdown's:
//
//	# Device does not answer
//
//	A device of your network does not answer any more.
//	Concerned: {what}.
//
//	## On site
//	- Look whether the device has power.
//
//	## Technician
//	- Ask it by ping.
//
//	## Call
//	- {owner}
//	- {support}
//
// The three headings stay English in all languages: they are keys, and are shown in the
// language of the site. Technician may be missing. Whatever else Markdown has stands for
// itself. Lines of a paragraph are told apart only for the sake of variables.
//
// # Variables
//
// They are a closed set; there are no functions, conditions or files behind them:
//
//	{what}      what is concerned, by name
//	{site}      the site's name
//	{isp}       the internet provider, {circuit} its name for the line, {hotline} its phone
//	{provider}  these three in one line, as far as they are known
//	{contacts}  the people at the site, each a line of its own in a list
//	{support}   the MSP's support; never empty
//	{owner}     whoever has to act, of {provider}, {contacts}, {support}
//
// A line that names a variable without a value is left out, so that no card has a hole.
// What a variable stands for is taken as it is: braces in it mean nothing.
package runbook
