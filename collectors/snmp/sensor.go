package snmp

import (
	"math"

	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
)

// sensorRow is how the values of one sensor are scaled: by a power of ten, told by
// the row's scale and precision (ENTITY-SENSOR-MIB, RFC 3433, and
// CISCO-ENTITY-SENSOR-MIB), or by what the profile says of its type or name.
type sensorRow struct {
	exponent int
	told     *profile.SensorType // by the profile; nil: by the row
	least    float64             // what is less is no reading
	status   *cell               // 1 where the reading is good; nil: it always is
}

// sensorOf reads a row's own objects: -1 where there is none.
func sensorOf(t *tablePlan, r *row, p *sensorPlan) (s sensorRow, unit string) {
	at := func(object int, def int64) int64 {
		if object < 0 {
			return def
		}
		if n, ok := r.texts[t.objects[object].text].integer(); ok {
			return n
		}
		return def
	}
	if p.status >= 0 {
		s.status = &r.cells[p.status]
	}
	kind := at(p.kind, 0)
	switch {
	case p.Types != nil || p.Names != nil:
		name := ""
		if p.kind >= 0 {
			name = r.texts[t.objects[p.kind].text].text(profile.Clean, nil)
		}
		s.told = sensorType(p.Sensor, kind, name)
		unit = s.told.Unit
	case kind != sensorOther && kind != sensorTruth:
		scale, precision := at(p.scale, scaleUnits), at(p.precision, 0)
		if scale < 1 || scale > 17 {
			scale = scaleUnits
		}
		if precision < -8 || precision > 9 { // the range of SensorPrecision
			precision = 0
		}
		s.exponent = scaleExponent(scale) - int(precision)
		unit = sensorUnit(kind)
	}
	if s.least = math.Inf(-1); unit == "celsius" {
		s.least = absoluteZero // a Catalyst says -866597556 where there is no module
	}
	return s, unit
}

// sensorType is what a profile says of a sensor's type, or of its name.
func sensorType(s *profile.Sensor, kind int64, name string) *profile.SensorType {
	for i := range s.Names {
		if s.Names[i].Pattern.MatchString(name) {
			return &s.Names[i].SensorType
		}
	}
	t := s.Types[kind]
	return &t
}

// scale gives the reading; ok is false where the sensor says that it is none, and
// for the values that stand for underflow and overflow.
func (s *sensorRow) scale(f float64) (_ float64, ok bool) {
	switch {
	case s.status != nil && s.status.tag != 0 && s.status.num != 1:
		return 0, false
	case s.told != nil:
		f = scaled(f, s.told.Scale) + s.told.Offset
	case math.Abs(f) >= 1e9:
		return 0, false
	case s.exponent < 0:
		f /= math.Pow10(-s.exponent)
	default:
		f *= math.Pow10(s.exponent)
	}
	return f, f >= s.least
}

const absoluteZero = -273.15

const (
	sensorOther = 1
	sensorTruth = 12
	scaleUnits  = 9
)

// scaleExponent is what an EntitySensorDataScale stands for. exa stands before
// peta: the MIB has them in that order.
func scaleExponent(scale int64) int {
	return [...]int{-24, -21, -18, -15, -12, -9, -6, -3, 0, 3, 6, 9, 12, 18, 15, 21, 24}[scale-1]
}

// sensorUnit is the unit of an EntitySensorDataType; above 12 they are Cisco's.
func sensorUnit(kind int64) string {
	units := [...]string{3: "volts", 4: "volts", 5: "amperes", 6: "watts", 7: "hertz", 8: "celsius",
		9: "percent", 10: "rpm", 11: "cubic_meters_per_minute", 14: "dbm"}
	if kind < 0 || kind >= int64(len(units)) {
		return ""
	}
	return units[kind]
}
