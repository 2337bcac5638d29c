package processbudget

import (
	"math"
	"sort"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// What a process reports is a handful of series: a metric and the attributes of one of its points.
// They are the same for thousands of processes, so each is described once (definition) and processes
// point to the description. Values are kept as 64 bits; the description says how to read them.

// number is an int64 or a float64, as its definition says.
type number uint64

func intNumber(i int64) number     { return number(i) }
func floatNumber(f float64) number { return number(math.Float64bits(f)) }
func (n number) int() int64        { return int64(n) }
func (n number) float() float64    { return math.Float64frombits(uint64(n)) }

// kind is how values of a series become one when processes are folded.
type kind uint8

const (
	counter  kind = iota // increments add up
	level                // values add up
	gaugeMax             // the largest counts
	dropped              // no rule: not part of a remainder
)

// rank is what a series tells about the use of a process.
type rank uint8

const (
	byCPU rank = iota
	byMemory
	byIO
	ranks
	unranked = ranks
)

// The metrics processes are ranked by, in both generations of the semantic conventions for process
// metrics (only their attributes were renamed).
var rankedBy = map[string]rank{
	"process.cpu.time":     byCPU,
	"process.memory.usage": byMemory,
	"process.disk.io":      byIO,
}

// definition describes a series that processes report.
type definition struct {
	index             int
	name, unit, about string
	kind              kind
	rank              rank
	integer           bool
	gauge             bool
	delta             bool // arrives as differences
	attributes        []pointAttribute
}

type pointAttribute struct {
	key   string
	value pcommon.Value
	text  string
}

// maxDefinitions bounds what hostile or careless point attributes can make us remember.
const maxDefinitions = 1024

// dictionary holds all definitions.
type dictionary struct {
	all   []*definition
	byKey map[string]*definition
	rules map[string]kind // of gauges
}

func newDictionary(gauges map[string]string) *dictionary {
	d := &dictionary{byKey: map[string]*definition{}, rules: map[string]kind{}}
	for name, rule := range gauges {
		d.rules[name] = level
		if rule == "max" {
			d.rules[name] = gaugeMax
		}
	}
	return d
}

// shape is what a metric says of all its points.
type shape struct {
	metric    pmetric.Metric
	gauge     bool
	monotonic bool
	delta     bool
}

// shapeOf is what a metric says of its points, and the points. ok is false for what is neither a sum
// nor a gauge.
func shapeOf(metric pmetric.Metric) (s shape, points pmetric.NumberDataPointSlice, ok bool) {
	s.metric = metric
	switch metric.Type() {
	case pmetric.MetricTypeSum:
		sum := metric.Sum()
		s.monotonic = sum.IsMonotonic()
		s.delta = sum.AggregationTemporality() == pmetric.AggregationTemporalityDelta
		return s, sum.DataPoints(), true
	case pmetric.MetricTypeGauge:
		s.gauge = true
		return s, metric.Gauge().DataPoints(), true
	}
	return s, points, false
}

// fits says whether a point of s with these attributes belongs to d.
func (d *definition) fits(s *shape, name string, integer bool, attributes pcommon.Map) bool {
	if d.name != name || d.integer != integer || d.gauge != s.gauge || d.delta != s.delta ||
		!s.gauge && (d.kind == counter) != s.monotonic ||
		attributes.Len() != len(d.attributes) {
		return false
	}
	for i := range d.attributes {
		value, has := attributes.Get(d.attributes[i].key)
		if !has || value.Type() != d.attributes[i].value.Type() || text(value) != d.attributes[i].text {
			return false
		}
	}
	return true
}

func text(value pcommon.Value) string {
	if value.Type() == pcommon.ValueTypeStr {
		return value.Str()
	}
	return value.AsString()
}

// find is the definition of a point of s; it is made if it is new, and nil when there are too many.
func (d *dictionary) find(s *shape, integer bool, attributes pcommon.Map) *definition {
	kept := make([]pointAttribute, 0, attributes.Len())
	for key, value := range attributes.All() {
		one := pointAttribute{key: key, value: pcommon.NewValueEmpty(), text: text(value)}
		value.CopyTo(one.value)
		kept = append(kept, one)
	}
	sort.Slice(kept, func(i, j int) bool { return kept[i].key < kept[j].key })
	return d.add(definition{
		name: s.metric.Name(), unit: s.metric.Unit(), about: s.metric.Description(),
		integer: integer, gauge: s.gauge, delta: s.delta, attributes: kept,
	}, s.monotonic)
}

// add is the definition that is like made, which is added if it is new; nil when there are too many.
func (d *dictionary) add(made definition, monotonic bool) *definition {
	made.rank = unranked
	switch {
	case made.gauge:
		rule, has := d.rules[made.name]
		if !has {
			rule = dropped
		}
		made.kind = rule
	case monotonic:
		made.kind = counter
	case made.delta:
		made.kind = dropped // a difference of a level says nothing without the level
	default:
		made.kind = level
	}
	if r, ranked := rankedBy[made.name]; ranked && !made.gauge && (made.kind == level) == (r == byMemory) && made.kind <= level {
		made.rank = r
	}
	key := made.key()
	if known, has := d.byKey[key]; has {
		return known
	}
	if len(d.all) >= maxDefinitions {
		return nil
	}
	made.index = len(d.all)
	d.all = append(d.all, &made)
	d.byKey[key] = &made
	return &made
}

// key tells a definition from all others, whatever the order of its attributes.
func (d *definition) key() string {
	var b strings.Builder
	b.WriteString(strconv.Quote(d.name))
	for _, flag := range []bool{d.integer, d.gauge, d.delta, d.kind == counter} {
		b.WriteString(strconv.FormatBool(flag))
	}
	for i := range d.attributes {
		b.WriteString(strconv.Quote(d.attributes[i].key))
		b.WriteString(d.attributes[i].value.Type().String())
		b.WriteString(strconv.Quote(d.attributes[i].text))
	}
	return b.String()
}

// float is a value as a number to compare with others.
func (d *definition) float(n number) float64 {
	if d.integer {
		return float64(n.int())
	}
	return n.float()
}

// minus is a-b.
func (d *definition) minus(a, b number) number {
	if d.integer {
		return intNumber(a.int() - b.int())
	}
	return floatNumber(a.float() - b.float())
}

// plus is a+b; sums of integers stop at their bounds instead of turning negative.
func (d *definition) plus(a, b number) number {
	if !d.integer {
		return floatNumber(a.float() + b.float())
	}
	x, y := a.int(), b.int()
	sum := x + y
	switch {
	case x > 0 && y > 0 && sum < 0:
		return intNumber(math.MaxInt64)
	case x < 0 && y < 0 && sum >= 0:
		return intNumber(math.MinInt64)
	}
	return intNumber(sum)
}

// less is a < b.
func (d *definition) less(a, b number) bool {
	if d.integer {
		return a.int() < b.int()
	}
	return a.float() < b.float()
}

// sum adds up values of one definition. Sums of floats carry the low part that rounding loses
// (Neumaier's variant of Kahan's summation), so that days of small increments stay exact.
type sum struct {
	value number
	low   float64
}

func (s *sum) add(d *definition, n number) {
	if d.integer {
		s.value = d.plus(s.value, n)
		return
	}
	have, more := s.value.float(), n.float()
	total := have + more
	if math.Abs(have) >= math.Abs(more) {
		s.low += (have - total) + more
	} else {
		s.low += (more - total) + have
	}
	s.value = floatNumber(total)
}

func (s *sum) read(d *definition) number {
	if d.integer {
		return s.value
	}
	return floatNumber(s.value.float() + s.low)
}

// valueOf reads a point. ok is false for what cannot be used: no value, not finite, or a negative
// count of something that only grows.
func valueOf(dp pmetric.NumberDataPoint, monotonic bool) (value number, integer, ok bool) {
	if dp.Flags().NoRecordedValue() {
		return 0, false, false
	}
	switch dp.ValueType() {
	case pmetric.NumberDataPointValueTypeInt:
		i := dp.IntValue()
		return intNumber(i), true, !monotonic || i >= 0
	case pmetric.NumberDataPointValueTypeDouble:
		f := dp.DoubleValue()
		return floatNumber(f), false, !math.IsNaN(f) && !math.IsInf(f, 0) && (!monotonic || f >= 0)
	}
	return 0, false, false
}
