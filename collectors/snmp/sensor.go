package snmp

import "math"

// sensorRow is how the values of one sensor are scaled (ENTITY-SENSOR-MIB, RFC
// 3433, and CISCO-ENTITY-SENSOR-MIB): by a power of ten, told by the row's scale
// and precision.
type sensorRow struct {
	exponent int
	status   *cell // 1 where the reading is good; nil: it always is
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
	if kind == sensorOther || kind == sensorTruth {
		return s, ""
	}
	scale, precision := at(p.scale, scaleUnits), at(p.precision, 0)
	if scale < 1 || scale > 17 {
		scale = scaleUnits
	}
	if precision < -8 || precision > 9 { // the range of SensorPrecision
		precision = 0
	}
	s.exponent = scaleExponent(scale) - int(precision)
	return s, sensorUnit(kind)
}

// scale gives the reading; ok is false where the sensor says that it is none, and
// for the values that stand for underflow and overflow.
func (s *sensorRow) scale(f float64) (_ float64, ok bool) {
	if math.Abs(f) >= 1e9 || s.status != nil && s.status.tag != 0 && s.status.num != 1 {
		return 0, false
	}
	if s.exponent < 0 {
		return f / math.Pow10(-s.exponent), true
	}
	return f * math.Pow10(s.exponent), true
}

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
