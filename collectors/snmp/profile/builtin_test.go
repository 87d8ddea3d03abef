package profile

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
)

// TestBuiltInChoice: what devices say of themselves, and the profile that is for
// them. The first of a profile marked "recorded" is a recording's; the others are
// what the vendor has registered, or what its devices are known to say.
func TestBuiltInChoice(t *testing.T) {
	const netSNMP = "1.3.6.1.4.1.8072.3.2.10"
	devices := []struct{ id, descr, answers, want string }{
		{"1.3.6.1.4.1.318.1.3.27", "APC Web/SNMP Management Card (MB:v4.1.0 PF:v7.0.8)", "", "apc-ups"}, // recorded
		{"1.3.6.1.4.1.318.1.3.2.7", "", "", "apc-ups"},
		{"1.3.6.1.4.1.318.1.3.4.6", "", "", "apc-pdu"},
		{"1.3.6.1.4.1.3808.1.1.1", "UPS SNMP Card", "", "cyberpower"},
		{"1.3.6.1.4.1.705.1", "Eaton 5PX 3000", "", "eaton-mge"}, // recorded
		{"1.3.6.1.4.1.534.1", "Eaton 9PX", "", "eaton-xups"},
		{"1.3.6.1.4.1.534.2.12", "Eaton Gigabit Network Card", "", "eaton-xups"},
		{"1.3.6.1.4.1.534.6.6.7", "Eaton ePDU", "", "eaton-epdu"},
		{"1.3.6.1.4.1.476.1.42", "Liebert UNITY", "", "liebert"},
		{"1.3.6.1.2.1.33.2.1", "riello UPS", "", "ups-mib"},

		{"1.3.6.1.4.1.9.1.516", "Cisco IOS Software, C3750 Software (C3750-IPBASE-M), Version 12.2(50)SE5, RELEASE SOFTWARE (fc1)", "", "cisco-catalyst"}, // recorded
		{"1.3.6.1.4.1.9.1.634", `"Cisco IOS Software, C3560 Software (C3560-IPSERVICESK9-M), Version 12.2(55)SE12, RELEASE SOFTWARE (`, "", "cisco-catalyst"},
		{"1.3.6.1.4.1.9.1.2694", "Cisco IOS Software [Gibraltar], Catalyst L3 Switch Software (CAT9K_LITE_IOSXE), Version 16.12.4, RELEASE", "", "cisco-catalyst"},
		{"1.3.6.1.4.1.9.1.1208", "Cisco IOS Software, C2960S Software (C2960S-UNIVERSALK9-M), Version 15.0(2)SE", "", "cisco-catalyst"},
		{"1.3.6.1.4.1.9.1.1707", "Cisco IOS Software, ISR Software (X86_64_LINUX_IOSD-UNIVERSALK9-M), Version 15.5(3)S", "", "cisco-ios"},
		{"1.3.6.1.4.1.9.1.1045", "Cisco IOS Software, C2900 Software (C2900-UNIVERSALK9-M), Version 15.2(4)M3", "", "cisco-ios"},
		{"1.3.6.1.4.1.9.1.576", "Cisco IOS Software, 2800 Software (C2800NM-ADVIPSERVICESK9-M), Version 12.4", "", "cisco-ios"},
		{"1.3.6.1.4.1.9.12.3.1.3.1467", "Cisco NX-OS(tm) n9000, Software (n9000-dk9), Version 7.0(3)I2(2d)", "", "cisco-nx-os"},
		{"1.3.6.1.4.1.9.1.745", "Cisco Adaptive Security Appliance Version 9.1(2)", "", "cisco-asa"},
		{"1.3.6.1.4.1.9.6.1.95.24.4", "SG350-24P 24-Port Gigabit PoE Managed Switch", "", "cisco-small-business"},
		{"1.3.6.1.4.1.29671.2.55", "Cisco Wireless CW9176I Cloud Managed AP", "", "meraki-ap"}, // recorded
		{"1.3.6.1.4.1.29671.2.131", "Meraki MS220-8P Cloud Managed PoE Switch", "", "meraki-ms"},
		{"1.3.6.1.4.1.29671.2.114", "Meraki MX64 Cloud Managed Router", "", "meraki-mx"},
		{"1.3.6.1.4.1.47196.4.1.1.1.254", "PL.10.10.0002", "", "aruba-cx"},                                 // recorded
		{"1.3.6.1.4.1.14823.1.2.59", "ArubaOS (MODEL: 225), Version 8.4.0.0-8.4.0.0", "", "aruba-instant"}, // recorded
		{"1.3.6.1.4.1.11.2.3.7.8.5.2", "HP Stack, revision KA.15.03.3004", "", "procurve"},                 // recorded
		{"1.3.6.1.4.1.11.2.3.7.11.44", "HP J9019B Switch E2510B-24, revision Q.11.57", "", "procurve"},
		{"1.3.6.1.4.1.14988.1", "router", "", "mikrotik"}, // recorded
		{"1.3.6.1.4.1.14988.2", "CSS326-24G-2S+ SwOS v2.9", "", "mikrotik"},
		{"1.3.6.1.4.1.41112.1.5", "EdgeOS v1.8.0.4853089.160219.1607", "", "edgeos"},                                          // recorded
		{"1.3.6.1.4.1.4413", "EdgeSwitch 24-Port 250W, 1.8.0.5106045, Linux 3.6.5-1b505fb7, 0.0.0.0000000", "", "edgeswitch"}, // recorded
		{"1.3.6.1.4.1.4413", "US-24-250W, 5.43.23.12533, Linux 3.6.5", "", "unifi-switch"},
		{netSNMP, "UAP-nanoHD 5.43.36.12724", "", "unifi-ap"}, // recorded
		{netSNMP, "U6-Pro 6.5.28.14491", "", "unifi-ap"},
		{"1.3.6.1.4.1.10002.1", "Linux 2.6.32.68 #1", "", "airos"},
		{"1.3.6.1.4.1.12356.101.1.644", "", "", "fortigate"}, // recorded
		{"1.3.6.1.4.1.25461.2.3.54", "Palo Alto Networks PA-400 series firewall", "", "paloalto"},
		{"1.0.3.0.6.0.1.0", "SonicWALL TZ 570 (SonicOS 7.0.1-R1456)", "", "sonicwall"}, // recorded
		{"1.3.6.1.4.1.8741.1", "SonicWALL NSA 2650 (SonicOS Enhanced 6.5.4.4-44n)", "", "sonicwall"},
		{"1.3.6.1.4.1.2604.5", "Linux localhost 6.6.116 #1 SMP", "", "sophos-xg"},                                     // recorded
		{"1.3.6.1.4.1.12325.1.1.2.1.1", "pfSense 2.3.2-RELEASE pfSense FreeBSD 10.3-RELEASE-p5 amd64", "", "pfsense"}, // recorded
		{"1.3.6.1.4.1.8072.3.2.8", "FreeBSD OPNsense.localdomain 13.1-RELEASE-p2", "", "opnsense"},
		{"1.3.6.1.4.1.2636.1.1.1.2.39", "Juniper SRX240B gsm-fw", "", "junos-srx"}, // recorded
		{"1.3.6.1.4.1.2636.1.1.1.2.43", "Juniper Networks, Inc. ex2200-24t-4g Ethernet Switch, kernel JUNOS 12.3R12.4", "", "junos-ex"},
		{"1.3.6.1.4.1.2636.1.1.1.2.29", "Juniper Networks, Inc. mx240 internet router, kernel JUNOS 12.3R3.4", "", "junos"},
		{"1.3.6.1.4.1.7367", "DrayTek Corporation, Router Model: Vigor165, Version: r13107_788_b947ce1af_beta", "", "draytek"}, // recorded
		{"1.3.6.1.4.1.890.1.15", "GS1900-48", "", "zyxel-gs1900"},                                                              // recorded
		{"1.3.6.1.4.1.890.1.15", "USG FLEX 200", "", "zyxel-zywall"},
		{netSNMP, "USG60", "", "zyxel-zywall"},
		{"1.3.6.1.4.1.171.10.137.2.1", "DGS-1510-28 Gigabit Ethernet SmartPro Switch", "", "dlink-dgs"}, // recorded
		{"1.3.6.1.4.1.11863.1.1.25", "8-Port Gigabit Smart Switch", "", "tplink"},                       // recorded
		{"1.3.6.1.4.1.11863.5.33", "JetStream 24-Port Gigabit L2 Managed Switch", "", "tplink"},
		{"1.3.6.1.4.1.4526.100.11.22", "M4100-D12G ProSafe 12-port Gigabit L2+", "", "netgear"},      // recorded
		{"1.3.6.1.4.1.25053.3.1.5.15", "Ruckus Wireless R850", "", "ruckus-unleashed"},               // recorded
		{"1.3.6.1.4.1.25053.3.1.4.106", "Ruckus Wireless Inc (C) 2006", "", "ruckus-ap"},             //
		{"1.3.6.1.4.1.161.19.250.256", "CANOPY 15.0.0.1 AP-DES", "", "cambium-pmp"},                  // recorded
		{"1.3.6.1.4.1.17713.21", "Cambium ePMP 1000", "", "cambium-epmp"},                            //
		{netSNMP, "Linux hostname 3.10.77 #8451 SMP x86_64", "1.3.6.1.4.1.6574.1.5.1.0", "synology"}, // recorded
		{netSNMP, "Linux TS-453A 4.2.8", "1.3.6.1.4.1.24681.1.2.12.0", "qnap"},
		{netSNMP, "Linux vir-extnodeimm 2.6.16.46-353 #2 PREEMPT mips", "1.3.6.1.4.1.2.3.51.3.1.5.2.1.5.0", "imm"}, // recorded
		{netSNMP, "Linux mp2-nyc1 4.18.0-147.8.1.el8_1.x86_64", "", "linux"},                                       // recorded
		{"1.3.6.1.4.1.8072.3.2.8", "FreeBSD box 13.1-RELEASE", "", "net-snmp"},
		{"1.3.6.1.4.1.674.10892.5", "", "", "idrac"}, // recorded
		{"1.3.6.1.4.1.232.9.4.11", "Integrated Lights-Out 5 1.40", "", "ilo"},
		{"1.3.6.1.4.1.21317", "", "", "supermicro-bmc"},
		{"1.3.6.1.4.1.6876.4.1", "VMware ESXi 7.0.0 build-15843807 VMware, Inc. x86_64", "", "vmware-esxi"},             // recorded
		{"1.3.6.1.4.1.311.1.1.3.1.2", "Hardware: Intel64 - Software: Windows Version 6.3 (Build 17763)", "", "windows"}, // recorded

		{"1.3.6.1.4.1.11.2.3.9.1", "HP ETHERNET MULTI-ENVIRONMENT,SN:VNB3J99999", "", "hp-printer"}, // recorded
		{"1.3.6.1.4.1.367.1.1", "RICOH Aficio MP C3002 2.20", "", "ricoh"},                          // recorded
		{"1.3.6.1.4.1.253.8.62.1.35.2.3.1.1", "Xerox AltaLink C8045; SS 100.002", "", "xerox"},      // recorded
		{"1.3.6.1.4.1.2435.2.3.9.1", "Brother NC-8300h", "", "brother"},
		{"1.3.6.1.4.1.1347.41", "KYOCERA Document Solutions Printing System", "", "kyocera"},
		{"1.3.6.1.4.1.1602.4.7", "Canon iR-ADV C5235 /P", "", "canon"},
		{"1.3.6.1.4.1.641.2.71106785", "Lexmark MS510dn", "", "lexmark"},
		{"1.3.6.1.4.1.18334.1.1.1.2.1.56.4.1", "KONICA MINOLTA bizhub C360", "", "konica-minolta"},
		{"1.3.6.1.4.1.1248.1.1.2.1.3", "EPSON Built-in 11b/g/n Print Server", "", "epson"},
		{"1.3.6.1.4.1.236.11.5.1", "Samsung CLX-6260 Series", "", "samsung-printer"},
		{"1.3.6.1.4.1.2385.3.1.1", "SHARP MX-2614N", "", "sharp"},
		{"1.3.6.1.4.1.2001.1.1.1.297.93.1", "OKI OkiLAN 8450e", "", "oki"},
		{"1.3.6.1.4.1.1129.2.3.45.1", "TOSHIBA e-STUDIO3555C", "", "toshiba-printer"},

		{"1.3.6.1.4.1.20916.1.10", "Room Alert 12E v3.3.0", "", "avtech-12e"}, // recorded
		{"1.3.6.1.4.1.20916.1.7", "TemPageR 3E", "", "avtech"},
		{"1.3.6.1.4.1.21239.42.1.31", "Data Center 01 Temp Sensor", "", "geist"}, // recorded
		{"1.3.6.1.4.1.3854.1", "sensorProbe8 v 2.0", "", "akcp"},
		{"1.3.6.1.4.1.3854.3.2.1", "sensorProbe2plus", "", "akcp"},
	}
	set := open(t, nil)
	seen := map[string]bool{}
	for _, d := range devices {
		var has [][]byte
		if d.answers != "" {
			if has = append(has, pdu.MustOID(d.answers)); !contains(set.Asks(d.id, d.descr), has[0]) {
				t.Errorf("%s %q is not asked for %s", d.id, d.descr, d.answers)
			}
		}
		if p := set.For(d.id, d.descr, has...); p.Name != d.want {
			t.Errorf("%s %q gets %s, want %s", d.id, d.descr, p.Name, d.want)
		}
		seen[d.want] = true
	}
	for _, p := range set.List() {
		if !strings.HasPrefix(p.Name, "_") && !seen[p.Name] {
			t.Errorf("no device here gets %s", p.Name)
		}
	}
}

// TestBuiltInAsked: no device is asked for more than a few scalars to tell what it is.
func TestBuiltInAsked(t *testing.T) {
	set := open(t, nil)
	if n := len(set.Asks("1.3.6.1.4.1.8072.3.2.10", "Linux box")); n == 0 || n > 8 {
		t.Errorf("a Linux box is asked for %d scalars", n)
	}
	if n := len(set.Asks("1.3.6.1.4.1.9.1.516", "Cisco IOS Software")); n != 0 {
		t.Errorf("a router is asked for %d scalars", n)
	}
}

// units are all that built-in profiles may use.
var units = []string{
	"", "amperes", "bits_per_second", "bytes", "celsius", "centiseconds", "dbm", "decibels", "hertz",
	"megabits_per_second", "meters", "percent", "rpm", "seconds", "volts", "watts",
}

// TestBuiltInWhole: every profile for devices says what they are, what is read of
// them has a unit of the list, and what others extend is extended.
func TestBuiltInWhole(t *testing.T) {
	set := open(t, nil)
	unit := func(p *Profile, m *Metric) {
		us := []string{m.Unit}
		if s := m.Convert.Sensor; s != nil {
			for _, k := range s.Types {
				us = append(us, k.Unit)
			}
			for _, k := range s.Names {
				us = append(us, k.Unit)
			}
		}
		for _, u := range us {
			if !slices.Contains(units, u) {
				t.Errorf("%s: %s is in %q", p.Name, m.Name, u)
			}
		}
	}
	for _, p := range set.List() {
		for i := range p.Scalars {
			unit(p, &p.Scalars[i])
		}
		for i := range p.Tables {
			for k := range p.Tables[i].Columns {
				unit(p, &p.Tables[i].Columns[k])
			}
		}
		matches := len(p.Match.ObjectIDs) > 0 || p.Match.Descr != nil
		if strings.HasPrefix(p.Name, "_") {
			if matches {
				t.Errorf("%s is to be extended, and matches devices", p.Name)
			}
			continue
		}
		if !matches || p.Device.Class == "" || len(p.Device.Fields["vendor"]) == 0 {
			t.Errorf("%s: class %q, vendor %v, matches devices: %v", p.Name, p.Device.Class, p.Device.Fields["vendor"], matches)
		}
		if len(p.Scalars) == 0 || !slices.ContainsFunc(p.Tables, func(t Table) bool { return t.Name == "interfaces" }) {
			t.Errorf("%s: asks for no interfaces", p.Name)
		}
	}
	used := map[string]bool{Generic: true}
	files, err := filepath.Glob("builtin/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`_[a-z-]+\.yaml`).FindAllString(string(text), -1) {
			used[baseName(name)] = true
		}
	}
	for _, p := range set.List() {
		if strings.HasPrefix(p.Name, "_") && !used[p.Name] {
			t.Errorf("nothing extends %s", p.Name)
		}
	}
}
