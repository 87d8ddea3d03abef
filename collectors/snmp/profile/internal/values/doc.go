// Package values takes values out of the nodes of a YAML file, each checked and
// bounded, and collects what is wrong with them: unknown keys, numbers out of range,
// identifiers that are none. It is what the readers of profiles and of snmp.yml share.
package values
