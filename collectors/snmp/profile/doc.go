// Package profile says what to ask a kind of device and what the answers are
// called: it reads profiles in the YAML dialect that Datadog's agent, ktranslate,
// netdata and orb-agent share, with additions, and gives each as a [Profile]. It
// knows no device and does no network I/O; package snmp asks. Modules of
// snmp_exporter's snmp.yml become profiles in package exporter.
//
// # Files
//
// A profile is a file *.yaml, named after what it is for. The built-in ones are in
// the program, a user's in /etc/siteprobe/profiles.d; there a file with the name of a
// built-in one takes its place. `siteprobe profile check FILE` names every mistake,
// `profile test` shows what it makes of a walk, `profile list` what there is.
//
// What is not known is a warning, with the place and the nearest known key. What
// cannot be understood (no OID, a bad expression) is an error: that entry is left
// out, the rest counts. Anchors, tags and further documents are not read.
//
// # An example
//
//	sysobjectid: [1.3.6.1.4.1.99999.1.*]    # * is one number or, at the end, the rest
//	sysdescr: '^Example (Switch|Router)'    # and sysDescr must match; alone it suffices
//	extends: [_base.yaml, _generic-if.yaml]
//	class: switch
//	agent: {max_repetitions: 20}
//	metadata:
//	  device:
//	    fields:
//	      vendor: {value: Example}
//	      model: {symbol: {OID: 1.3.6.1.4.1.99999.2.1.0, name: exModel}}
//	      serial_number:
//	        symbols:
//	          - {OID: 1.3.6.1.4.1.99999.2.2.0, name: exSerial, extract_value: 'SN:(\S+)'}
//	          - {OID: 1.3.6.1.2.1.47.1.1.1.1.11.1, name: entPhysicalSerialNum}
//	static_tags: ["tier:access"]
//	metrics:
//	  - symbol: {OID: 1.3.6.1.4.1.99999.3.1.0, name: exCPULoad, unit: percent, kind: gauge}
//	  - symbol: {OID: 1.3.6.1.4.1.99999.3.2.0, name: exInletTemperature, unit: celsius, scale: 0.1, invalid: [-1, 2147483647]}
//	  - interval: 5m
//	    table: {OID: 1.3.6.1.4.1.99999.4, name: exPowerSupplyTable}
//	    index: [{label: exUnit}, {label: exPowerSupply}]
//	    symbols:
//	      - {OID: 1.3.6.1.4.1.99999.4.1.3, name: exPowerSupplyState, kind: state, enum: {1: ok, 2: failed}}
//	      - {OID: 1.3.6.1.4.1.99999.4.1.4, name: exPowerSupplyFan, words: {OK: 0, FAIL: 1}}
//	    metric_tags:
//	      - {tag: exPowerSupplyName, symbol: {OID: 1.3.6.1.4.1.99999.4.1.2, name: exPowerSupplyName}}
//	      - {tag: exUnitName, symbol: {OID: 1.3.6.1.4.1.99999.5.1.2, name: exUnitName}, index_transform: [{start: 0, end: 0}]}
//
// # The whole file
//
//	sysobjectid   pattern, or list of them
//	sysdescr      regular expression (RE2, as all of them)
//	answers       a scalar that such a device has and others, which say the same of
//	              themselves, have not; beside one of the two above
//	extends       files whose metrics, tags and fields are added; where names collide,
//	              the later file and at last this one wins. A user's files come first,
//	              then the built-in ones. What they match is not taken over.
//	class         switch, router, firewall, ups, pdu, printer, nas, server, hypervisor,
//	              bmc, access-point, sensor, radio, other
//	device        {vendor: NAME}, the old form of metadata
//	metadata      device: {fields: {NAME: {value, symbol, symbols}}}: what an inventory
//	              has: vendor, model, serial_number, os_version, name, location... The
//	              first that is not empty counts, value last. What stands under
//	              interface and id_tags comes out of IF-MIB for all devices alike.
//	agent         bulk: false, max_repetitions, max_columns, allow_unordered: true,
//	              uptime_source: sysUpTime | snmpEngineTime | hrSystemUptime
//	metric_tags   labels of all series of the device: tags of scalars
//	static_tags   "name:value" labels of all series
//	metrics       entries
//
// # An entry of metrics
//
// A scalar is `symbol: {OID, name}`, the OID with its .0, or of one cell of a table;
// where there is nothing, .0 below it is tried. The old form has OID and name in the
// entry itself. A table is `table: {OID, name}` with `symbols`. Entries with
// the same table become one, whose columns may be anywhere as long as their index is
// that of the table. `index` says what it is made of; without it one label "index"
// has all of it. `metric_tags` and `static_tags` are the labels of the entry; an entry
// without has those that all others of its table have.
//
// An entry and, stronger, each of its symbols may have:
//
//	interval      5m; how often, if not in each poll
//	unit          base unit: bytes, seconds, celsius, percent...
//	kind          counter, gauge, state, text; without it a Counter32 or 64 is a counter
//	              and every other number a gauge
//	metric_type   Datadog's (also forced_type): gauge, or one that makes it a counter:
//	              rate, counter, monotonic_count, monotonic_count_and_rate, percent.
//	              flag_stream with options: {placement: N, metric_suffix: NAME} is the
//	              N-th of many flags.
//	invalid       numbers that stand for "unknown"
//	convert       how octets read: text, mac, ip, hex, date (DateAndTime), bits, hexle
//	              and hexbe (one number); unsigned32 mends negative numbers. A list of
//	              several. format: mac_address and ip_address are Datadog's.
//	extract_value      the part of a text that the first group matches
//	match_pattern      with match_value: a text put together of groups, \1 or $1
//	enum          {1: up}: words for numbers, of bits for their places (also mapping)
//	words         {OK: 0}: numbers for texts
//	sensor        {type, scale, precision, status}: OIDs of the columns that say how
//	              ENTITY-SENSOR-MIB's values read. Of another MIB, in place of scale and
//	              precision: types: {1: {unit, scale, offset}}, by the number in the
//	              column type, or names: [{match: REGEXP, unit, scale, offset}], by its
//	              text.
//	scale         factor, 0.1 or 5/9 (also scale_factor); offset is added after it
//	instead_of    NAME: read where a row lacks that metric; pinned: true decides once
//	form          info, state_set, bits: as snmp_exporter shows texts and enumerations
//	constant_value_one  true: each row counts 1
//
// # Tags
//
//	tag           name of the label
//	symbol        {OID, name, extract_value, match_pattern, match_value, convert} (also
//	              column); symbols: a list that is tried in turn, as are several tags of
//	              the same name. The column may be another table's with the same index.
//	index         N: the N-th number of the row's index, in place of a symbol
//	index_transform   [{start, end}]: the numbers, from 0, of the row's index that make up
//	              the index in the other table
//	through       {OID, index_transform}: that index is what this column holds
//	enum          words for numbers (also mapping), those included that extract_value
//	              takes out of a text or an OID
//	match, tags   an expression, and {name: \1}: labels made of its groups
//	unless        NAME: left out where the row has that label
//	hidden        true: for unless only
//
// The parts of an index are {label, type, size, bare, enum}: type is integer (without
// one), text, mac, ip, ip6, inet (InetAddressType and InetAddress), inet_without_type,
// inet_without_size, oid or hex; size the number of octets where it is fixed, bare the
// last part without its length (IMPLIED).
//
// Names of metrics and labels become such that Prometheus takes: cpu.usage is
// cpu_usage.
//
// # Which profile a device gets
//
// The pattern with the most numbers wins. At equal numbers one without a star at its
// end does, then one whose answers the device has, then one whose sysDescr matches
// too, then a user's. One that is chosen by sysDescr alone comes last: to come before
// the profile of net-snmp or of Windows, name their identifier, too. A device that nothing
// matches gets the profile _generic. See [Set.For].
package profile
