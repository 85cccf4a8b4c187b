package telemetry

import "fmt"

// Quantity names what a point measures, from a closed vocabulary. The
// quantity fixes the unit, the type in stores and whether it is a counter.
type Quantity string

// Unit is a UCUM code.
type Unit string

// Class says how the values of a quantity behave over time.
type Class uint8

const (
	Gauge   Class = iota + 1 // a momentary value: mean, minimum, maximum
	Counter                  // grows; differences are what counts
	Status                   // a state, a truth value or a text
)

// String returns gauge, counter or status.
func (c Class) String() string {
	switch c {
	case Gauge:
		return "gauge"
	case Counter:
		return "counter"
	case Status:
		return "status"
	default:
		return fmt.Sprintf("invalid class %d", uint8(c))
	}
}

// QuantityInfo describes one quantity.
type QuantityInfo struct {
	Quantity Quantity
	Unit     Unit
	Class    Class
	Type     Type
	EN, ZH   string // for people
}

// quantities is the closed vocabulary, ordered by field. A meter register
// in another unit is brought to Unit by the profile's exact decimal scale.
var quantities = []QuantityInfo{
	// Electricity. Import and export are seen from the meter's owner and are
	// never collapsed into "net".
	{"active_energy_import", "kW.h", Counter, TypeFloat, "active energy import", "正向有功电能"},
	{"active_energy_export", "kW.h", Counter, TypeFloat, "active energy export", "反向有功电能"},
	{"active_energy_total", "kW.h", Counter, TypeFloat, "active energy, both directions", "组合有功电能"},
	{"active_energy_generation", "kW.h", Counter, TypeFloat, "energy generated", "发电量"},
	{"active_energy_generation_day", "kW.h", Counter, TypeFloat, "energy generated today", "日发电量"},
	{"reactive_energy_import", "kV.A{reactive}.h", Counter, TypeFloat, "reactive energy import", "正向无功电能"},
	{"reactive_energy_export", "kV.A{reactive}.h", Counter, TypeFloat, "reactive energy export", "反向无功电能"},
	{"reactive_energy_total", "kV.A{reactive}.h", Counter, TypeFloat, "reactive energy, both directions", "组合无功电能"},
	{"apparent_energy", "kV.A.h", Counter, TypeFloat, "apparent energy", "视在电能"},
	{"active_power", "W", Gauge, TypeFloat, "active power", "有功功率"},
	{"reactive_power", "V.A{reactive}", Gauge, TypeFloat, "reactive power", "无功功率"},
	{"apparent_power", "V.A", Gauge, TypeFloat, "apparent power", "视在功率"},
	{"active_power_demand", "W", Gauge, TypeFloat, "active power demand", "有功需量"},
	{"dc_power", "W", Gauge, TypeFloat, "DC power", "直流功率"},
	{"voltage", "V", Gauge, TypeFloat, "voltage", "电压"},
	{"current", "A", Gauge, TypeFloat, "current", "电流"},
	{"dc_voltage", "V", Gauge, TypeFloat, "DC voltage", "直流电压"},
	{"dc_current", "A", Gauge, TypeFloat, "DC current", "直流电流"},
	{"frequency", "Hz", Gauge, TypeFloat, "frequency", "频率"},
	{"power_factor", "1", Gauge, TypeFloat, "power factor", "功率因数"},
	{"phase_angle", "deg", Gauge, TypeFloat, "phase angle", "相位角"},
	{"harmonic_distortion", "%", Gauge, TypeFloat, "total harmonic distortion", "谐波总畸变率"},
	{"state_of_charge", "%", Gauge, TypeFloat, "state of charge", "荷电状态"},
	{"ct_ratio", "1", Gauge, TypeFloat, "current transformer ratio", "电流互感器变比"},
	{"vt_ratio", "1", Gauge, TypeFloat, "voltage transformer ratio", "电压互感器变比"},

	// Heat and cold.
	{"thermal_energy", "kW.h", Counter, TypeFloat, "heat energy", "累计热量"},
	{"thermal_energy_cooling", "kW.h", Counter, TypeFloat, "cooling energy", "累计冷量"},
	{"thermal_power", "W", Gauge, TypeFloat, "thermal power", "热功率"},
	{"temperature", "Cel", Gauge, TypeFloat, "temperature", "温度"},
	{"temperature_difference", "K", Gauge, TypeFloat, "temperature difference", "温差"},
	{"coefficient_of_performance", "1", Gauge, TypeFloat, "coefficient of performance", "性能系数"},
	{"compressor_frequency", "Hz", Gauge, TypeFloat, "compressor frequency", "压缩机频率"},
	{"fan_speed", "{rpm}", Gauge, TypeFloat, "fan speed", "风机转速"},
	{"valve_position", "%", Gauge, TypeFloat, "valve position", "阀门开度"},

	// Fluids.
	{"water_volume", "m3", Counter, TypeFloat, "water volume", "累计水量"},
	{"gas_volume", "m3", Counter, TypeFloat, "gas volume", "累计燃气量"},
	{"volume", "m3", Counter, TypeFloat, "volume passed", "累计体积"},
	{"mass", "t", Counter, TypeFloat, "mass passed", "累计质量"},
	{"volume_flow", "m3/h", Gauge, TypeFloat, "volume flow", "瞬时流量"},
	{"velocity", "m/s", Gauge, TypeFloat, "velocity", "流速"},
	{"pressure", "kPa", Gauge, TypeFloat, "pressure", "压力"},

	// Rain and storage.
	{"rainfall", "mm", Counter, TypeFloat, "rainfall, running total", "累计降雨量"},
	{"rainfall_window", "mm", Gauge, TypeFloat, "rainfall in the device's own window", "时段降雨量"},
	{"rainfall_intensity", "mm/h", Gauge, TypeFloat, "rainfall intensity", "雨强"},
	{"bucket_tips", "{tip}", Counter, TypeUint, "bucket tips", "翻斗次数"},
	{"depth_per_tip", "mm", Gauge, TypeFloat, "depth per tip", "翻斗分辨力"},
	{"level", "m", Gauge, TypeFloat, "water level", "水位"},
	{"distance", "m", Gauge, TypeFloat, "distance to the surface", "空高"},
	{"relative_humidity", "%", Gauge, TypeFloat, "relative humidity", "相对湿度"},
	{"irradiance", "W/m2", Gauge, TypeFloat, "irradiance", "辐照度"},
	{"wind_speed", "m/s", Gauge, TypeFloat, "wind speed", "风速"},

	// Analogue inputs and devices.
	{"input_voltage", "V", Gauge, TypeFloat, "analogue input voltage", "模拟量输入电压"},
	{"input_current", "mA", Gauge, TypeFloat, "analogue input current", "模拟量输入电流"},
	{"pulse_count", "{pulse}", Counter, TypeUint, "pulses", "脉冲数"},
	{"operating_time", "h", Counter, TypeFloat, "operating time", "累计运行时间"},
	{"uptime", "min", Counter, TypeUint, "time since power-on", "通电时间"},
	{"ratio", "1", Gauge, TypeFloat, "ratio", "比值"},
	{"percentage", "%", Gauge, TypeFloat, "percentage", "百分比"},
	{"count", "1", Gauge, TypeUint, "count", "计数"},
	{"state", "1", Status, TypeUint, "state", "状态"},
	{"alarm", "1", Status, TypeUint, "alarm or fault code", "故障码"},
	{"flag", "1", Status, TypeBool, "flag", "标志"},
	{"text", "1", Status, TypeString, "text", "文本"},
}

// quantityIndex is built once from the table and only read.
var quantityIndex = func() map[Quantity]QuantityInfo {
	m := make(map[Quantity]QuantityInfo, len(quantities))
	for _, q := range quantities {
		m[q.Quantity] = q
	}
	return m
}()

// LookupQuantity returns the description of q.
func LookupQuantity(q Quantity) (QuantityInfo, bool) {
	i, ok := quantityIndex[q]
	return i, ok
}

// Quantities returns the whole vocabulary in its own order.
func Quantities() []QuantityInfo { return append([]QuantityInfo(nil), quantities...) }
