// Package config reads the site file: what one box is to do at one site.
//
//	site, err := config.Load("/etc/siteprobe/siteprobe.yaml")
//
// Each worker owns the type of its section, with its defaults and its rules; this
// package alone knows them all and composes them. Workers never import it.
//
// # Strict
//
// The file is written by hand, at a customer's site, by somebody who will be gone
// when it turns out that a key had a typo. So nothing is guessed and nothing is
// ignored: an unknown key, a key set twice, a value of the wrong type, a name that
// nothing defines or an address outside the contract is an error, with file, line,
// column and what would have been right. All of them are reported at once, up to
// [MaxProblems].
//
// YAML has more than a site file needs, and some of it means different things to
// different readers. Anchors, aliases, merge keys, tags, directives and a second
// document are refused, as are unquoted numbers such as 010, which is 8 to some
// and 10 to others.
//
//	durations  60s, 5m, 1h30m, 35d        sizes  512MiB, 2GiB, 4GB
//
// # More than one file
//
// The files conf.d/*.yaml beside the site file are read after it, in the order of
// their names, and merged: lists are appended, sections are joined, and a value
// that two files set is an error which names both places.
//
// # Secrets
//
// A secret never stands in the site file, so that the file can be mailed, printed
// and kept in version control. In its place stands where it is:
//
//	community: {file: /etc/siteprobe/community}   a file of its own, at most 4 KiB
//	community: {env: SNMP_COMMUNITY}              an environment variable
//	community: {systemd: lan}                     a systemd credential (LoadCredential=)
//
// A newline at a file's end is not part of the secret. Secrets are read when the
// site file is. No message of this package holds a secret, an excerpt of the file,
// or even a secret's reference (somebody may have put the secret there).
package config
