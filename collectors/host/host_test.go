package host

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/siteprobe/siteprobe/collectors"
)

// box is a small appliance with two ports, of which one is down, and a sensor.
func box() map[string]string {
	return map[string]string{
		"proc/stat":    "cpu  2680 10 2207 154131 295 0 43 13 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\nintr 5 0 0\nbtime 1795426154\n",
		"proc/loadavg": "0.52 0.58 0.59 1/467 4927\n",
		"proc/meminfo": "MemTotal:         947736 kB\nMemFree:  100 kB\nMemAvailable:     612345 kB\n",
		"proc/self/stat": "77 (site) probe) R 1 1 1 0 -1 4194304 97 0 0 0 150 50 0 0 20 0 1 0 79955 3133440 360 " +
			"18446744073709551615 1 1 1 0 0\n",
		"proc/self/fd/0": "", "proc/self/fd/1": "",
		"proc/self/mountinfo": "27 1 179:2 / / ro,noatime shared:1 - ext4 /dev/mmcblk0p2 rw,errors=remount-ro\n" +
			"28 27 179:2 /var/lib/siteprobe /var/lib/siteprobe rw - ext4 /dev/mmcblk0p2 rw\n" +
			"30 27 8:1 / /mnt/my\\040disk rw - xfs /dev/sda1 ro\n",
		"proc/sys/kernel/random/boot_id":                     "92cebe29-9e6b-4bf0-9fb8-f6fe60a66d79\n",
		"sys/class/net/eth0/device/vendor":                   "",
		"sys/class/net/eth0/carrier":                         "1\n",
		"sys/class/net/eth0/statistics/rx_bytes":             "18446744073709551615\n",
		"sys/class/net/eth0/statistics/tx_bytes":             "7\n",
		"sys/class/net/eth0/statistics/rx_errors":            "0\n",
		"sys/class/net/eth0/statistics/tx_errors":            "1\n",
		"sys/class/net/eth1/device/vendor":                   "",
		"sys/class/net/docker0/carrier":                      "1\n",
		"sys/class/thermal/thermal_zone0/type":               "cpu-thermal\n",
		"sys/class/thermal/thermal_zone0/temp":               "48312\n",
		"sys/class/thermal/thermal_zone0/trip_point_0_type":  "passive\n",
		"sys/class/thermal/thermal_zone0/trip_point_0_temp":  "70000\n",
		"sys/class/thermal/thermal_zone0/trip_point_1_type":  "critical\n",
		"sys/class/thermal/thermal_zone0/trip_point_1_temp":  "95000\n",
		"sys/class/thermal/cooling_device0/type":             "fan\n",
		"sys/block/mmcblk0/device/life_time":                 "0x02 0x0b\n",
		"sys/block/mmcblk0/device/pre_eol_info":              "0x01\n",
		"sys/block/mmcblk1/device/name":                      "SD card\n",
		"sys/class/power_supply/ADP0/online":                 "1\n",
		"sys/class/power_supply/BAT0/capacity":               "97\n",
		"sys/class/hwmon/hwmon0/name":                        "cpu_thermal\n",
		"sys/class/hwmon/hwmon0/temp1_input":                 "48312\n",
		"sys/class/hwmon/hwmon0/temp1_crit":                  "99000\n",
		"sys/devices/system/clocksource/current_clocksource": "tsc\n",
	}
}

// collector makes one of a box made of files.
func collector(t *testing.T, files map[string]string, cfg Config) *Collector {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Proc, cfg.Sys = filepath.Join(root, "proc"), filepath.Join(root, "sys")
	c := New(cfg)
	c.statfs = func(path string) (usage, error) { return usage{size: 1000, avail: uint64(len(path))}, nil }
	c.timex = func() (timex, error) { return timex{synchronised: true, offset: -0.0000125004}, nil }
	return c
}

// collect returns the batch as lines "series value", and the schema.
func collect(t *testing.T, c *Collector) (string, *collectors.Schema, error) {
	t.Helper()
	var lines strings.Builder
	var schema *collectors.Schema
	err := c.Collect(t.Context(), func(b collectors.Batch) {
		if err := errors.Join(b.Validate(), b.Schema.Validate()); err != nil {
			t.Error(err)
		}
		schema = b.Schema
		for i := range b.Values {
			s := &b.Schema.Series[i]
			lines.WriteString(s.String() + " " + b.Values[i].Format(s.Kind) + "\n")
		}
	})
	return lines.String(), schema, err
}

func TestCollect(t *testing.T) {
	c := collector(t, box(), Config{DataDir: "/var/lib/siteprobe/db"})
	page := float64(os.Getpagesize())
	got, schema, err := collect(t, c)
	if err != nil {
		t.Error(err)
	}
	want := `node_cpu_seconds_total{mode="user"} 26.8
node_cpu_seconds_total{mode="nice"} 0.1
node_cpu_seconds_total{mode="system"} 22.07
node_cpu_seconds_total{mode="idle"} 1541.31
node_cpu_seconds_total{mode="iowait"} 2.95
node_cpu_seconds_total{mode="irq"} 0
node_cpu_seconds_total{mode="softirq"} 0.43
node_cpu_seconds_total{mode="steal"} 0.13
node_boot_time_seconds 1795426154
node_load1 0.52
node_memory_MemTotal_bytes 970481664
node_memory_MemAvailable_bytes 627041280
node_filesystem_size_bytes{device="/dev/mmcblk0p2",fstype="ext4",mountpoint="/"} 1000
node_filesystem_avail_bytes{device="/dev/mmcblk0p2",fstype="ext4",mountpoint="/"} 1
node_filesystem_readonly{device="/dev/mmcblk0p2",fstype="ext4",mountpoint="/"} 0
node_network_carrier{device="eth0"} 1
node_network_receive_bytes_total{device="eth0"} 18446744073709551615
node_network_transmit_bytes_total{device="eth0"} 7
node_network_receive_errs_total{device="eth0"} 0
node_network_transmit_errs_total{device="eth0"} 1
node_network_carrier{device="eth1"} 
node_network_receive_bytes_total{device="eth1"} 
node_network_transmit_bytes_total{device="eth1"} 
node_network_receive_errs_total{device="eth1"} 
node_network_transmit_errs_total{device="eth1"} 
node_thermal_zone_temp{zone="0",type="cpu-thermal"} 48.312
siteprobe_thermal_zone_critical_celsius{zone="0",type="cpu-thermal"} 95
siteprobe_flash_life_used_ratio{device="mmcblk0",type="a"} 0.2
siteprobe_flash_life_used_ratio{device="mmcblk0",type="b"} 1.1
siteprobe_flash_pre_eol{device="mmcblk0"} 1
node_power_supply_online{power_supply="ADP0"} 1
node_power_supply_capacity{power_supply="BAT0"} 97
process_cpu_seconds_total 2
process_resident_memory_bytes ` + collectors.GaugeValue(360*page).Format(collectors.Gauge) + `
process_open_fds 2
node_timex_sync_status 1
node_timex_offset_seconds -0.000013
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if _, again, _ := collect(t, c); again != schema {
		t.Error("another schema for the same series")
	}
	if err := os.WriteFile(filepath.Join(c.roots.sys, "class/net/eth1/carrier"), []byte("0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, again, _ := collect(t, c); again != schema {
		t.Error("another schema although only a value came")
	}
	if err := os.RemoveAll(filepath.Join(c.roots.sys, "class/net/eth1")); err != nil {
		t.Fatal(err)
	}
	if _, again, _ := collect(t, c); again == schema || len(again.Series) != len(schema.Series)-5 {
		t.Error("a port that went stays in the schema")
	}
}

func TestCollectDataDirOnItsOwnDisk(t *testing.T) {
	got, _, err := collect(t, collector(t, box(), Config{DataDir: "/mnt/my disk"}))
	if err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		`node_filesystem_avail_bytes{device="/dev/sda1",fstype="xfs",mountpoint="/mnt/my disk"} 12`,
		`node_filesystem_readonly{device="/dev/sda1",fstype="xfs",mountpoint="/mnt/my disk"} 1`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
}

func TestCollectHwmonWithoutThermalZones(t *testing.T) {
	files := box()
	maps.DeleteFunc(files, func(name, _ string) bool { return strings.HasPrefix(name, "sys/class/thermal/thermal_zone") })
	got, _, err := collect(t, collector(t, files, Config{}))
	if err != nil {
		t.Error(err)
	}
	if want := `node_hwmon_temp_celsius{chip="hwmon0_cpu_thermal",sensor="temp1"} 48.312` + "\n"; strings.Count(got, "hwmon") != 2 || !strings.Contains(got, want) {
		t.Errorf("want %s in\n%s", want, got)
	}
}

func TestCollectPartly(t *testing.T) {
	for _, test := range []struct {
		file, content string // an empty content: no such file
		want          string // how the error begins
	}{
		{"proc/stat", "", "reading CPU times: open "},
		{"proc/stat", "cpu  1 2\n", "reading CPU times: the kernel's statistics lack"},
		{"proc/stat", "cpu  a 2 3 4 5 6 7 8 9\n", "reading CPU times: strconv"},
		{"proc/loadavg", "high", "reading the load: "},
		{"proc/meminfo", "MemTotal: 1 kB\n", "reading memory: there is no MemAvailable"},
		{"proc/self/stat", "1 (x) R 1", "reading this process: 2 fields"},
		{"proc/self/mountinfo", "nonsense\n", "reading mounts: none holds /"},
	} {
		files := box()
		delete(files, test.file)
		if test.content != "" {
			files[test.file] = test.content
		}
		got, _, err := collect(t, collector(t, files, Config{}))
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s...", test.file, err, test.want)
		}
		if got == "" {
			t.Errorf("%s: the rest is missing", test.file)
		}
	}
}

func TestCollectWhatTheKernelRefuses(t *testing.T) {
	c := collector(t, box(), Config{Clock: &Clock{readings: func() readings { return readings{kernel: true, wall: floor} }}})
	c.statfs = func(string) (usage, error) { return usage{}, syscall.EACCES }
	c.timex = func() (timex, error) { return timex{}, syscall.EPERM }
	got, _, err := collect(t, c)
	if !errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) {
		t.Errorf("error %v, want EACCES only", err)
	}
	for _, want := range []string{"node_timex_sync_status \n", `mountpoint="/"} ` + "\n", "siteprobe_clock_sure 1\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

func TestCollectEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := New(Config{}).Collect(ctx, func(collectors.Batch) { t.Error("a batch") })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// The machine that runs the tests is a box, too.
func TestCollectForReal(t *testing.T) {
	cfg := Config{DataDir: t.TempDir()}
	cfg.Clock = NewClock(cfg)
	got, _, err := collect(t, New(cfg))
	if err != nil {
		t.Error(err)
	}
	for _, want := range []string{"node_load1 ", "node_filesystem_size_bytes{", "process_resident_memory_bytes ", "siteprobe_clock_sure "} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
}
