package discovery

import (
	"encoding/json"
	"strings"
	"testing"
)

func someBook() *Book {
	return &Book{Devices: []Device{
		{ID: "2", State: Candidate, Address: a3, SNMP: true, Facts: Facts{SysName: "=HYPERLINK(\"http://evil\")", Serial: "+1"}, FirstSeen: t0, LastSeen: t0},
		{ID: "1", State: Listed, Name: "sw1", Address: a2, Found: a1, Credential: "lan", SNMP: true, FirstSeen: t0, LastSeen: t0, Facts: Facts{
			SysName: "sw1.example", Class: "switch", Vendor: "cisco", Model: "C9300", Serial: "FOC1", Firmware: "17.3", Location: "Rack 1, row \"B\"", MAC: macA, Profile: "cisco",
			Modules: []Module{{Index: 1, Class: "chassis", Model: "C9300", Serial: "FOC1"}, {Index: 9, Class: "powerSupply", Name: "PSU 1", Serial: "@X"}}}},
		{ID: "3", State: Candidate, Address: a1},
	}}
}

func TestInventory(t *testing.T) {
	named := []Named{{Name: "sw1", Address: "192.168.10.2", Labels: map[string]string{"contract": "gold", "cmdb": "-77"}}, {Name: "gw", Address: "gw.example"}}
	items := Inventory(someBook(), named, false)
	var csv strings.Builder
	if err := WriteCSV(&csv, items); err != nil {
		t.Fatal(err)
	}
	want := `name,state,class,vendor,model,serial,firmware,address,mac,sysName,location,profile,first_seen,last_seen,gone,id,label_cmdb,label_contract
gw,listed,,,,,,gw.example,,,,,,,false,,,
sw1,listed,switch,cisco,C9300,FOC1,17.3,192.168.10.2,00:1b:21:00:00:0a,sw1.example,"Rack 1, row ""B""",cisco,2026-03-01T12:00:00Z,2026-03-01T12:00:00Z,false,1,'-77,gold
`
	if csv.String() != want {
		t.Errorf("%s\nwant\n%s", csv.String(), want)
	}
	csv.Reset()
	items = Inventory(someBook(), named, true)
	if err := WriteCSV(&csv, items); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(csv.String(), "\n")
	if len(lines) != 6 || !strings.HasPrefix(lines[3], ",candidate,,,,,,192.168.10.1") || !strings.Contains(lines[4], `,'+1,,192.168.10.3,,"'=HYPERLINK(""http://evil"")"`) {
		t.Errorf("%s", csv.String())
	}
	csv.Reset()
	if err := WriteModulesCSV(&csv, items); err != nil {
		t.Fatal(err)
	}
	want = `device,address,device_serial,index,class,name,descr,vendor,model,serial,hardware,firmware,software
sw1,192.168.10.2,FOC1,1,chassis,,,,C9300,FOC1,,,
sw1,192.168.10.2,FOC1,9,powerSupply,PSU 1,,,,'@X,,,
`
	if csv.String() != want {
		t.Errorf("%s\nwant\n%s", csv.String(), want)
	}
}

func TestInventoryJSON(t *testing.T) {
	for _, items := range [][]Item{{}, Inventory(someBook(), nil, false), Inventory(someBook(), nil, true)} {
		var b strings.Builder
		if err := WriteJSON(&b, items); err != nil {
			t.Fatal(err)
		}
		var got []map[string]any
		if err := json.Unmarshal([]byte(b.String()), &got); err != nil || len(got) != len(items) {
			t.Errorf("%v\n%s", err, b.String())
		}
		for _, x := range got {
			for _, key := range []string{"name", "state", "serial", "address", "labels", "modules", "found", "first_seen"} {
				if v, ok := x[key]; !ok || v == nil {
					t.Errorf("no %s: %v", key, x)
				}
			}
		}
	}
}
