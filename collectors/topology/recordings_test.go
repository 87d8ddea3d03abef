package topology

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/scope"
	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/snmp/recordingtest"
)

// local dials what listens on this machine.
func local(t *testing.T) Dialer {
	t.Helper()
	dialer, err := scope.New(scope.Config{Managed: []string{"127.0.0.0/8"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context, cfg snmp.Config) (*snmp.Client, error) { return snmp.Dial(ctx, cfg, dialer) }
}

func deviceAt(name, address, community string) snmp.Config {
	return snmp.Config{Device: name, Address: address, Timeout: 500 * time.Millisecond,
		Credentials: []snmp.Credential{{Name: "lan", Auth: snmp.Auth{Version: "2c", Community: collectors.Secret(community)}}}}
}

// TestRecordings reads real devices. What is wanted was taken out of the recordings'
// lines by hand.
func TestRecordings(t *testing.T) {
	address := recordingtest.Serve(t)
	for name := range wanted {
		t.Run(name, func(t *testing.T) {
			f, err := Ask(t.Context(), deviceAt(name, address, name), time.Now, local(t))
			if err != nil {
				t.Fatal(err)
			}
			got := summary(f)
			want := wanted[name]
			got.Said = got.Said[:min(len(got.Said), max(len(want.Said), 1))]
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !want.Partial && len(f.Partial) > 0 {
				t.Errorf("partial: %q", f.Partial)
			}
		})
	}
}

type count struct {
	Neighbours, Ports, FDB, ARP int
	Learned                     map[string]int // MACs by port
	Said                        []string       // "port: chassis | port ID | name"; at least the first
	Partial                     bool
}

func summary(f *Facts) count {
	c := count{Partial: len(f.Partial) > 0, Neighbours: len(f.Neighbours), Ports: len(f.Ports), ARP: len(f.ARP), Learned: map[string]int{}}
	for _, w := range f.FDB {
		c.FDB += len(w.MACs)
		c.Learned[f.label(w.IfIndex, w.Port)] += len(w.MACs)
	}
	for _, n := range f.Neighbours {
		c.Said = append(c.Said, n.Port+": "+n.Chassis.Text+" | "+n.PortID.Text+" | "+n.SysName)
	}
	return c
}

var wanted = map[string]count{
	"arubaos-cx_10.10": {Neighbours: 3, Ports: 16, FDB: 16, ARP: 1,
		Learned: map[string]int{"1/1/1": 7, "1/1/2": 1, "1/1/11": 1, "1/1/12": 1, "1/1/14": 6},
		Said: []string{
			"1/1/1: cc:88:c7:c8:00:00 | cc:88:c7:00:00:00 | XXap01",
			"1/1/2: 94:64:24:c0:00:00 | 94:64:24:00:00:00 | XXam01",
			"1/1/14: 20:4c:03:81:00:00 | GE0/0/1 | XXgw01",
		}},
	// Its LLDP names its ports 1/24, its interfaces are eth1/0/24; groups in ARP; a MAC at port 0.
	"dlink_dgs-1510-28": {Neighbours: 2, Ports: 28, FDB: 25, ARP: 2,
		Learned: map[string]int{"eth1/0/1": 5, "eth1/0/4": 1, "eth1/0/5": 1, "eth1/0/6": 1, "eth1/0/24": 6, "eth1/0/26": 11},
		Said: []string{
			"eth1/0/24: 10:be:f5:ac:87:a0 | eth1/0/24 | Kos16c",
			"eth1/0/26: 00:03:0f:82:c9:02 | 10 | ",
		}},
	// Without a map of bridge ports, which are the ifIndex.
	"junos_rpm": {Neighbours: 2, FDB: 72, ARP: 98, Learned: map[string]int{"vlan.1": 1, "vlan.2": 71},
		Said: []string{
			"ge-0/0/0.0: 00:1a:c1:40:90:80 | GigabitEthernet1/0/3 | gsm-core-1",
			"ge-0/0/1.0: 6c:c2:17:94:82:00 | 3 | J9660A",
		}},
	// Its neighbour says nothing but zeros, and its forwarding database has no MACs.
	"pmp_450": {Ports: 104, ARP: 37, Learned: map[string]int{}},
	"procurve_2520": {Ports: 28, FDB: 741, Learned: map[string]int{"3": 1, "5": 1, "7": 1, "8": 1, "9": 1, "10": 1, "11": 1, "12": 1, "13": 1,
		"17": 1, "18": 1, "23": 1, "28": 729}},
	// LLDP without a port, which MikroTik's own table has; a bridge in each MIB; two neighbours that say nothing.
	"routeros": {Neighbours: 12, Ports: 2, FDB: 662, ARP: 23, Learned: map[string]int{"ether2": 3, "wlan2": 504, "bridge port 2": 154, "bridge port 3": 1},
		Said: []string{
			"wlan1: 6c:3b:6b:e4:21:3e | 1 managment | MikroTik",
			"wlan1: b8:69:f4:7f:41:70 | bridge/wlan60-1 | Spoj Jizak-Kupeckeho-60G",
			"wlan1: cc:2d:e0:e2:f1:fc | vlan200 | Tech-wirelesswire",
			"wlan2: 6c:3b:6b:e4:21:3e | 1 managment | MikroTik",
			"WAN: 20:67:7c:97:a3:48 | 8 | 2530-blue_shed",
			"WAN: 3c:e5:a6:37:df:da | GigabitEthernet1/0/17 | S5120-Tech",
			"WAN: 3c:e5:a6:37:df:da | GigabitEthernet1/0/17 | S5120-Tech",
			"ether2: 6c:3b:6b:e4:21:3e | 200 curric | MikroTik",
			"ether2: 74:4d:28:e3:17:31 | eth1-kupeckeho_lan | Jizak",
			"ether2: cc:2d:e0:e2:f1:fc | vlan200 | Tech-wirelesswire",
			"ether3: 6c:3b:6b:e4:21:3e | 200 curric | MikroTik",
			"ether3: cc:2d:e0:e2:f0:9e | vlan200 | blue_shed-wirelesswire",
		}},
	// The length of the MAC stands in the index.
	"zynos_gs1900-fdb": {Neighbours: 8, Ports: 58, FDB: 35, ARP: 1, Learned: map[string]int{
		"GigabitEthernet2": 3, "GigabitEthernet3": 1, "GigabitEthernet4": 1, "GigabitEthernet6": 3, "GigabitEthernet7": 3, "GigabitEthernet16": 6,
		"GigabitEthernet36": 1, "GigabitEthernet37": 1, "GigabitEthernet39": 3, "GigabitEthernet40": 3, "GigabitEthernet41": 3, "GigabitEthernet42": 1,
		"GigabitEthernet43": 1, "GigabitEthernet44": 1, "GigabitEthernet45": 3, "GigabitEthernet46": 1},
		Said: []string{
			"GigabitEthernet2: 98:fa:9b:25:70:08 | 98:fa:9b:25:70:08 | ",
			"GigabitEthernet4: 98:fa:9b:2b:79:01 | 98:fa:9b:2b:79:01 | ",
			"GigabitEthernet6: 98:fa:9b:33:61:1f | 98:fa:9b:33:61:1f | ",
			"GigabitEthernet7: 98:fa:9b:33:69:28 | 98:fa:9b:33:69:28 | ",
			"GigabitEthernet39: 98:fa:9b:25:67:8f | 98:fa:9b:25:67:8f | ",
			"GigabitEthernet40: 98:fa:9b:24:be:8b | 98:fa:9b:24:be:8b | ",
			"GigabitEthernet41: 98:fa:9b:2b:79:ac | 98:fa:9b:2b:79:ac | ",
			"GigabitEthernet45: 98:fa:9b:25:6c:69 | 98:fa:9b:25:6c:69 | ",
		}},
	// Its interfaces have no ifName.
	"tplink_sg2008": {Ports: 8, FDB: 46, ARP: 1, Learned: map[string]int{"port 1: Gigabit Copper": 36, "port 2: Gigabit Copper": 3, "port 3: Gigabit Copper": 1,
		"port 4: Gigabit Copper": 3, "port 6: Gigabit Copper": 1, "port 7: Gigabit Copper": 1, "port 8: Gigabit Copper": 1}},
	// 125 neighbours at seven ports, and 274 VLANs none of which the recording answers for.
	"full_cisco-c3750": {Neighbours: 125, Ports: 12, FDB: 15, ARP: 9, Learned: map[string]int{"Gi1/0/1": 2, "Gi1/0/6": 4, "Gi1/0/7": 3, "Gi1/0/9": 4, "Gi1/0/11": 2},
		Said: []string{
			"Gi1/0/1:  | GigabitEthernet0 | E-DJ-1F-101indoor",
			"Gi1/0/1:  | GigabitEthernet0 | E-DJ-1F-102indoor",
			"Gi1/0/1:  | GigabitEthernet0 | E-DJ-1F-103indoor",
		}, Partial: true},
	// 43 ports in the main context and one in that of VLAN 2; the other VLANs are suspended.
	"ios_c3560": {Ports: 44, Learned: map[string]int{}},
	"edgeswitch_es-24-250w": {Neighbours: 2, Ports: 32, Learned: map[string]int{}, Said: []string{
		"0/1: 80:2a:a8:4d:a4:36 | 80:2a:a8:4d:a4:38 | ",
		"0/24: 30:9c:23:7d:90:2a | 30:9c:23:7d:90:2a | ",
	}},
	"aruba-instant": {FDB: 24, Learned: map[string]int{"eth0": 24}},
}
