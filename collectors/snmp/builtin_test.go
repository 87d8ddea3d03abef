package snmp

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/walkfile"
)

// TestBuiltInReadings: what built-in profiles make of devices as their MIBs, and
// those who have them, say that they are: those first of which there is no
// recording. The devices are lines of a recording, OID|TAG|VALUE; what is wanted is
// written as in testdata/golden, and is some of what is read.
func TestBuiltInReadings(t *testing.T) {
	for _, d := range []struct{ name, device, want string }{
		{"QNAP says that it is any Linux, and its readings with their units", `
1.3.6.1.2.1.1.1.0|4|Linux TS-453A 4.2.8
1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.8072.3.2.10
1.3.6.1.4.1.24681.1.2.1.0|4|5.00 %
1.3.6.1.4.1.24681.1.2.6.0|4|38 C/100 F
1.3.6.1.4.1.24681.1.2.11.1.2.1|4|HDD1
1.3.6.1.4.1.24681.1.2.11.1.2.2|4|HDD2
1.3.6.1.4.1.24681.1.2.11.1.3.1|4|36 C/97 F
1.3.6.1.4.1.24681.1.2.11.1.3.2|4|-- C/-- F
1.3.6.1.4.1.24681.1.2.11.1.4.1|2|0
1.3.6.1.4.1.24681.1.2.11.1.4.2|2|-5
1.3.6.1.4.1.24681.1.2.11.1.5.1|4|WD40EFRX
1.3.6.1.4.1.24681.1.2.11.1.5.2|4|--
1.3.6.1.4.1.24681.1.2.11.1.7.1|4|GOOD
1.3.6.1.4.1.24681.1.2.12.0|4|TS-453A
1.3.6.1.4.1.24681.1.2.15.1.2.1|4|System FAN 1
1.3.6.1.4.1.24681.1.2.15.1.3.1|4|868 RPM`, `
profile qnap
class nas
model TS-453A
{} systemCPU_Usage 5 percent
{} systemTemperature 38 celsius
{hdIndex="1",hdDescr="HDD1",hdModel="WD40EFRX"} hdTemperature 36 celsius; hdStatus 0; hdSmartInfo 0
{hdIndex="2",hdDescr="HDD2",hdModel="--"} hdStatus -5
{sysFanIndex="1",sysFanDescr="System FAN 1"} sysFanSpeed 868 rpm`},

		{"CyberPower counts in tenths of a degree Fahrenheit", `
1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.3808.1.1.1
1.3.6.1.4.1.3808.1.1.1.1.1.1.0|4|OR1500LCDRM1U
1.3.6.1.4.1.3808.1.1.1.2.2.4.0|67|360000
1.3.6.1.4.1.3808.1.1.1.4.1.1.0|2|2
1.3.6.1.4.1.3808.1.1.1.4.2.1.0|66|2301
1.3.6.1.4.1.3808.1.1.4.2.1.0|2|770`, `
profile cyberpower
vendor CyberPower
model OR1500LCDRM1U
{} upsAdvanceBatteryRunTimeRemaining 3600 seconds
{} upsBaseOutputStatus 2
{} upsAdvanceOutputVoltage 230.1 volts
{} envirTemperature 25 celsius`},

		{"AKCP tells the unit of each probe", `
1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.3854.1
1.3.6.1.4.1.3854.1.2.2.1.16.1.1.0|4|Rack front
1.3.6.1.4.1.3854.1.2.2.1.16.1.1.1|4|Rack back
1.3.6.1.4.1.3854.1.2.2.1.16.1.1.2|4|Unplugged
1.3.6.1.4.1.3854.1.2.2.1.16.1.3.0|2|21
1.3.6.1.4.1.3854.1.2.2.1.16.1.3.1|2|86
1.3.6.1.4.1.3854.1.2.2.1.16.1.3.2|2|-512
1.3.6.1.4.1.3854.1.2.2.1.16.1.4.0|2|2
1.3.6.1.4.1.3854.1.2.2.1.16.1.4.2|2|7
1.3.6.1.4.1.3854.1.2.2.1.16.1.12.0|2|1
1.3.6.1.4.1.3854.1.2.2.1.16.1.12.1|2|0
1.3.6.1.4.1.3854.1.2.2.1.16.1.12.2|2|1`, `
profile akcp
class sensor
{sensorProbeTempIndex="0",sensorProbeTempDescription="Rack front"} sensorProbeTempDegree 21 celsius; sensorProbeTempStatus 2
{sensorProbeTempIndex="1",sensorProbeTempDescription="Rack back"} sensorProbeTempDegree 30 celsius
{sensorProbeTempIndex="2",sensorProbeTempDescription="Unplugged"} sensorProbeTempStatus 7`},

		{"Supermicro's sensors have their unit by name", `
1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.21317
1.3.6.1.4.1.21317.1.3.1.2.1|4|42.000
1.3.6.1.4.1.21317.1.3.1.2.5|4|12.190
1.3.6.1.4.1.21317.1.3.1.2.65|4|4100.000
1.3.6.1.4.1.21317.1.3.1.2.70|4|1
1.3.6.1.4.1.21317.1.3.1.13.1|4|CPU1 Temp
1.3.6.1.4.1.21317.1.3.1.13.5|4|12V
1.3.6.1.4.1.21317.1.3.1.13.65|4|FAN1
1.3.6.1.4.1.21317.1.3.1.13.70|4|Chassis Intru`, `
profile supermicro-bmc
class bmc
{sensorNumber="1",sensorIDString="CPU1 Temp"} sensorReading 42 celsius
{sensorNumber="5",sensorIDString="12V"} sensorReading 12.19 volts
{sensorNumber="65",sensorIDString="FAN1"} sensorReading 4100 rpm
{sensorNumber="70",sensorIDString="Chassis Intru"} sensorReading 1`},

		{"RouterOS 7 has its gauges in a table, with a column of units", `
1.3.6.1.2.1.1.1.0|4|RouterOS RB5009UG+S+
1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.14988.1
1.3.6.1.4.1.14988.1.1.3.100.1.2.1|4|voltage
1.3.6.1.4.1.14988.1.1.3.100.1.2.2|4|cpu-temperature
1.3.6.1.4.1.14988.1.1.3.100.1.3.1|2|241
1.3.6.1.4.1.14988.1.1.3.100.1.3.2|2|47
1.3.6.1.4.1.14988.1.1.3.100.1.4.1|2|3
1.3.6.1.4.1.14988.1.1.3.100.1.4.2|2|1`, `
profile mikrotik
model RB5009UG+S+
{mtxrGaugeIndex="1",mtxrGaugeName="voltage"} mtxrGaugeValue 24.1 volts
{mtxrGaugeIndex="2",mtxrGaugeName="cpu-temperature"} mtxrGaugeValue 47 celsius`},

		{"a Windows volume of more than 2^31 clusters is negative", `
1.3.6.1.2.1.1.1.0|4|Hardware: Intel64 Family 6 - Software: Windows Version 10.0 (Build 20348 Multiprocessor Free)
1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.311.1.1.3.1.3
1.3.6.1.2.1.25.2.3.1.2.1|6|1.3.6.1.2.1.25.2.1.4
1.3.6.1.2.1.25.2.3.1.3.1|4|E:\ Label:Backup
1.3.6.1.2.1.25.2.3.1.4.1|2|4096
1.3.6.1.2.1.25.2.3.1.5.1|2|-1294967296
1.3.6.1.2.1.25.2.3.1.6.1|2|1000`, `
profile windows
os_version 10.0 (Build 20348 Multiprocessor Free)
{hrStorageIndex="1",hrStorageDescr="E:\\ Label:Backup",hrStorageType="fixedDisk"} hrStorageAllocationUnits 4096 bytes; hrStorageSize 3000000000; hrStorageUsed 1000`},

		{"an iLO's sensors that cannot be read", `
1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.232.9.4.11
1.3.6.1.4.1.232.2.2.4.2.0|4|ProLiant DL380 Gen10
1.3.6.1.4.1.232.3.2.5.1.1.3.0.1|4|MB2000GDMMV
1.3.6.1.4.1.232.3.2.5.1.1.5.0.1|2|1
1.3.6.1.4.1.232.3.2.5.1.1.6.0.1|2|4
1.3.6.1.4.1.232.3.2.5.1.1.37.0.1|2|3
1.3.6.1.4.1.232.6.2.6.8.1.3.0.1|2|11
1.3.6.1.4.1.232.6.2.6.8.1.3.0.2|2|6
1.3.6.1.4.1.232.6.2.6.8.1.4.0.1|2|22
1.3.6.1.4.1.232.6.2.6.8.1.4.0.2|2|-99
1.3.6.1.4.1.232.6.2.6.8.1.6.0.1|2|2
1.3.6.1.4.1.232.6.2.6.8.1.6.0.2|2|1`, `
profile ilo
model ProLiant DL380 Gen10
{cpqDaPhyDrvCntlrIndex="0",cpqDaPhyDrvIndex="1",cpqDaPhyDrvModel="MB2000GDMMV",cpqDaPhyDrvBay="1"} cpqDaPhyDrvStatus 4; cpqDaPhyDrvCondition 3
{cpqHeTemperatureChassis="0",cpqHeTemperatureIndex="1",cpqHeTemperatureLocale="ambient"} cpqHeTemperatureCelsius 22 celsius; cpqHeTemperatureCondition 2
{cpqHeTemperatureChassis="0",cpqHeTemperatureIndex="2",cpqHeTemperatureLocale="cpu"} cpqHeTemperatureCondition 1`},

		{"a printer that is open, with a level that is no number", `
1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.2435.2.3.9.1
1.3.6.1.2.1.25.3.2.1.3.1|4|Brother HL-L2350DW series
1.3.6.1.2.1.25.3.5.1.1.1|2|3
1.3.6.1.2.1.25.3.5.1.2.1|4x|08
1.3.6.1.2.1.43.11.1.1.4.1.1|2|3
1.3.6.1.2.1.43.11.1.1.5.1.1|2|21
1.3.6.1.2.1.43.11.1.1.6.1.1|4|Black Toner Cartridge
1.3.6.1.2.1.43.11.1.1.7.1.1|2|7
1.3.6.1.2.1.43.11.1.1.8.1.1|2|-2
1.3.6.1.2.1.43.11.1.1.9.1.1|2|-3
1.3.6.1.2.1.43.8.2.1.9.1.1|2|250`, `
profile brother
model Brother HL-L2350DW series
{hrDeviceIndex="1"} hrPrinterStatus 3
{hrDeviceIndex="1",hrPrinterDetectedErrorState="doorOpen"} hrPrinterDetectedErrorState 1
{hrDeviceIndex="1",hrPrinterDetectedErrorState="jammed"} hrPrinterDetectedErrorState 0
{hrDeviceIndex="1",prtInputIndex="1",prtInputName=""} prtInputMaxCapacity 250
empty prtMarkerTable`},

		{"a Catalyst's sensor without a module, and its tables that are empty", `
1.3.6.1.2.1.1.1.0|4|Cisco IOS Software [Gibraltar], Catalyst L3 Switch Software (CAT9K_IOSXE), Version 16.12.4, RELEASE
1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.9.1.2494
1.3.6.1.2.1.47.1.1.1.1.7.1010|4|Inlet
1.3.6.1.2.1.47.1.1.1.1.7.2115|4|Te2/1/4 Module Temperature Sensor
1.3.6.1.4.1.9.9.91.1.1.1.1.1.1010|2|8
1.3.6.1.4.1.9.9.91.1.1.1.1.1.2115|2|8
1.3.6.1.4.1.9.9.91.1.1.1.1.2.1010|2|9
1.3.6.1.4.1.9.9.91.1.1.1.1.2.2115|2|9
1.3.6.1.4.1.9.9.91.1.1.1.1.3.1010|2|1
1.3.6.1.4.1.9.9.91.1.1.1.1.3.2115|2|0
1.3.6.1.4.1.9.9.91.1.1.1.1.4.1010|2|255
1.3.6.1.4.1.9.9.91.1.1.1.1.4.2115|2|-866597556`, `
profile cisco-catalyst
os_version 16.12.4
{entPhysicalIndex="1010",entPhysicalName="Inlet"} entSensorValue 25.5 celsius
empty interfaces
empty pethPsePortTable`},
	} {
		t.Run(d.name, func(t *testing.T) {
			vars, problems, err := walkfile.Read(strings.NewReader(strings.TrimSpace(d.device) + "\n"))
			if err != nil || len(problems) > 0 {
				t.Fatal(problems, err)
			}
			c := collectorOf(t, Config{Address: "127.0.0.1"}, WithKinds(builtInKinds()), Offline(vars))
			bs := mustPoll(t, c)
			got := gotLines(c, bs)
			for _, line := range goldenLines(t, d.want) {
				if !slices.Contains(got, line) {
					t.Errorf("lacks %s\nhas\n\t%s", line, strings.Join(got, "\n\t"))
				}
			}
			for _, line := range got {
				if strings.Contains(line, "-866597556") || strings.Contains(line, "prtMarkerSupplies") || strings.Contains(line, `="HDD2"`) && strings.HasPrefix(line, "hdTemperature") {
					t.Errorf("%s is no reading", line)
				}
			}
			told := slices.ContainsFunc(bs[0].Events, func(e collectors.Event) bool { return e.Kind == "snmp_empty_tables" })
			if told != (len(c.emptyTables()) > 0) {
				t.Errorf("empty are %v, events %v", c.emptyTables(), bs[0].Events)
			}
			if again := mustPoll(t, c); len(again[0].Events) > 0 {
				t.Errorf("told again: %v", again[0].Events)
			}
		})
	}
}

// TestWhoAnswers: a device that says no more of itself than net-snmp is told by a
// scalar that it has, with SNMPv1, too, which refuses a request for what is not
// there. Where that cannot be asked for, its kind stays open.
func TestWhoAnswers(t *testing.T) {
	device := func(version string, model bool) *device {
		d := newDevice(t, 1)
		d.put("1.3.6.1.2.1.1.1.0", octets("Linux nas 4.4.59"))
		d.put("1.3.6.1.2.1.1.2.0", pdu.Varbind{Tag: pdu.TagOID, Bytes: pdu.MustOID("1.3.6.1.4.1.8072.3.2.10")})
		if model {
			d.put("1.3.6.1.4.1.6574.1.5.1.0", octets("DS220+"))
		}
		d.c = collectorOf(t, Config{Address: "127.0.0.1", Credentials: []Credential{{Name: "c", Auth: Auth{Version: version, Community: "public"}}}},
			over(d.fake), WithKinds(builtInKinds()))
		if version == "1" {
			d.answer = func(_ request, vbs []pdu.Varbind) ([]pdu.Varbind, error) {
				for i := range vbs {
					if vbs[i].Absent() {
						return nil, &StatusError{Status: statusNoSuchName, Index: i + 1}
					}
				}
				return vbs, nil
			}
		}
		return d
	}
	for _, version := range []string{"1", "2c"} {
		for model, want := range map[bool]string{true: "synology", false: "linux"} {
			d := device(version, model)
			mustPoll(t, d.c)
			if got := d.c.Device(); got.Profile != want {
				t.Errorf("v%s, model %v: %+v", version, model, got)
			}
		}
	}

	d := device("2c", true)
	silent := true
	d.answer = func(r request, vbs []pdu.Varbind) ([]pdu.Varbind, error) {
		if silent && len(r.oids) == 1 {
			return nil, ErrNoAnswer
		}
		return vbs, nil
	}
	if _, err := poll(t, d.c); !errors.Is(err, ErrNoAnswer) || d.c.Device().Profile != "" {
		t.Errorf("profile %q, error %v", d.c.Device().Profile, err)
	}
	silent = false
	mustPoll(t, d.c)
	if got := d.c.Device(); got.Profile != "synology" || got.Model != "DS220+" {
		t.Errorf("in the end: %+v", got)
	}
}
