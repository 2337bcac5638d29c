package processbudget

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// What leaves: processes that are kept, with counters that start at zero when they enter, and one
// remainder for each category.
//
// Every increment that arrives is in exactly one counter that leaves. The increment of the scrape in
// which a process enters stays in the remainder, because consumers take the first sample of a series
// as the base of what follows. When it comes back after it was hidden, its counters go on where they
// were: what happened meanwhile is in the remainder. So counters of kept processes and of remainders
// never go backwards, and nothing is in two of them.

// scopeName is the instrumentation scope of what this processor adds.
const scopeName = "phoenix.dev/otelcol-phoenix/processor/processbudget"

// fold adds a process to the remainder of its category.
func (b *budgeter) fold(h *hostState, s *seen) {
	e := s.entity
	r := &h.remainders[e.class.category]
	r.grow(len(b.dictionary.all))
	for i := range e.streams {
		st := &e.streams[i]
		if st.at != h.scrape {
			continue
		}
		def := st.def
		switch def.kind {
		case counter:
			r.sums[def.index].add(def, st.rise)
		case level:
			r.levels[def.index].add(def, st.value)
			r.any[def.index] = true
		case gaugeMax:
			if !r.any[def.index] || def.less(r.levels[def.index].value, st.value) {
				r.levels[def.index].value = st.value
			}
			r.any[def.index] = true
		}
	}
	r.count++
	b.settle(h, e)
	if e.shown {
		b.end(h, e)
	}
	b.freeSlot(h, e)
	e.shown, e.seated = false, [ranks]bool{}
}

// settle gives to the remainder what a process that no longer leaves has not delivered: only
// differences that were refused.
func (b *budgeter) settle(h *hostState, e *entity) {
	if !b.deltas() || e.class.category >= len(h.remainders) {
		return
	}
	r := &h.remainders[e.class.category]
	for i := range e.streams {
		st := &e.streams[i]
		if st.out == nil || e.slot != 0 || !st.def.less(st.out.sent, st.out.value) {
			continue
		}
		r.grow(st.def.index + 1)
		r.sums[st.def.index].add(st.def, st.def.minus(st.out.value, st.out.sent))
		st.out.sent = st.out.value
	}
}

// keep rewrites a process that leaves by name.
func (b *budgeter) keep(h *hostState, s *seen) {
	e := s.entity
	attributes := s.source.Resource().Attributes()
	r := &h.remainders[e.class.category]
	r.grow(len(b.dictionary.all))
	entering := !e.shown
	if entering {
		e.shown, e.shownSince = true, s.at
	}
	attributes.PutStr(b.cfg.CategoryAttribute, b.classifier.names[e.class.category])
	var outputs *slotOutputs
	if b.cfg.Slots.Enabled && e.reason != isCritical {
		before := e.slot
		number := b.slotFor(h, e)
		outputs = h.slots[number-1].outputsOf(e.class.category)
		entering = entering || before != number
		if as := uint64(e.class.category) + 1; e.shownAs != as {
			e.shownAs, entering = as, true
		}
		b.nameBySlot(attributes, number)
		outputs.scrape, outputs.at = h.scrape, s.at
		if b.lingers() {
			outputs.leftWith = pcommon.NewMap()
			attributes.CopyTo(outputs.leftWith)
		}
	} else {
		b.freeSlot(h, e)
		if b.cfg.ReasonAttribute != "" {
			attributes.PutStr(b.cfg.ReasonAttribute, e.reason.String())
		}
		entering = b.nameByItself(h, e, attributes, entering) || entering
	}
	b.rewrite(h, e, s.source, r, entering, outputs)
	for _, more := range s.more {
		more.source.Resource().Attributes().Clear()
		attributes.CopyTo(more.source.Resource().Attributes())
		b.rewrite(h, e, more.source, r, entering, outputs)
	}
}

// rewrite puts what was accounted for into the counters of a kept process.
func (b *budgeter) rewrite(
	h *hostState, e *entity, source pmetric.ResourceMetrics, r *remainder, entering bool, outputs *slotOutputs,
) {
	position := 0
	for _, sm := range source.ScopeMetrics().All() {
		for _, metric := range sm.Metrics().All() {
			shape, points, ok := shapeOf(metric)
			if !ok {
				continue
			}
			if shape.monotonic {
				metric.Sum().SetAggregationTemporality(b.temporality())
			}
			name, unusable := metric.Name(), false
			for i := range points.Len() {
				dp := points.At(i)
				_, integer, ok := valueOf(dp, shape.monotonic)
				if !ok {
					unusable = true
					continue
				}
				at := b.reader.stream(h, e, &shape, name, integer, dp.Attributes(), position)
				if at < 0 {
					unusable = unusable || shape.monotonic
					continue
				}
				position = at + 1
				if st := &e.streams[at]; st.def.kind == counter {
					b.account(h, r, st, dp, entering, outputs)
				}
			}
			if unusable {
				b.removeUnusable(h, e, &shape, points)
			}
		}
	}
}

// removeUnusable takes away points without a value, and counters of more series than are remembered:
// such a counter could not be accounted for.
func (b *budgeter) removeUnusable(h *hostState, e *entity, s *shape, points pmetric.NumberDataPointSlice) {
	points.RemoveIf(func(dp pmetric.NumberDataPoint) bool {
		_, integer, ok := valueOf(dp, s.monotonic)
		return !ok || s.monotonic && b.reader.stream(h, e, s, s.metric.Name(), integer, dp.Attributes(), 0) < 0
	})
}

// nameByItself notes the name that a process leaves under, and says whether it is a new one: an exec, a
// new parent, another reason if that is told. Its series under the old name end.
func (b *budgeter) nameByItself(h *hostState, e *entity, attributes pcommon.Map, entering bool) bool {
	as := hashOf(attributes)
	changed := e.shownAs != as
	if changed && e.shownAs != 0 {
		if !entering {
			b.end(h, e)
		}
		for i := range e.streams {
			e.streams[i].out = nil
		}
	}
	e.shownAs = as
	delete(h.ended, as)
	if changed || e.leftWith == (pcommon.Map{}) {
		b.remember(e, attributes)
	}
	return changed
}

// account writes what a counter of a kept process says: what it rose by while it was shown.
func (b *budgeter) account(h *hostState, r *remainder, st *stream, dp pmetric.NumberDataPoint, entering bool, slots *slotOutputs) {
	def, at := st.def, nanos(dp.Timestamp())
	out := st.out
	if slots != nil {
		out = slots.of(def.index)
	}
	if out == nil || out.start == 0 {
		if out == nil {
			out = &output{}
		}
		out.start, entering = at, true
	}
	entering = (entering || st.out != out) && st.told != h.scrape // a doubled point enters once
	st.out, st.told = out, h.scrape
	rise := st.rise
	if h.again {
		rise = 0
	}
	switch {
	case !entering:
	case b.deltas():
		// A difference says from when it counts, so that of the entering scrape can be told.
		st.base = def.minus(def.minus(st.value, rise), out.value)
	default:
		st.base = def.minus(st.value, out.value)
		r.sums[def.index].add(def, rise)
	}
	if now := def.minus(st.value, st.base); def.less(out.value, now) {
		out.value = now
	}
	value, start := out.value, out.start
	if b.deltas() {
		value, start = def.minus(out.value, out.sent), max(out.till, h.previous)
		if start == 0 {
			start = at
		}
		b.pending = append(b.pending, delivery{&out.sent, &out.till, out.value, at})
	}
	dp.SetStartTimestamp(pcommon.Timestamp(min(start, at)))
	def.write(dp, value)
}

// delivered notes that the payload was accepted, so that its differences count as told.
func (b *budgeter) delivered() {
	for _, d := range b.pending {
		*d.sent, *d.till = d.value, d.at
	}
	b.pending = b.pending[:0]
}

// deltas says whether counters leave as differences.
func (b *budgeter) deltas() bool { return b.cfg.Temporality == "delta" }

func (b *budgeter) temporality() pmetric.AggregationTemporality {
	if b.deltas() {
		return pmetric.AggregationTemporalityDelta
	}
	return pmetric.AggregationTemporalityCumulative
}

// write sets the value of a point of this definition.
func (d *definition) write(dp pmetric.NumberDataPoint, n number) {
	if d.integer {
		dp.SetIntValue(n.int())
	} else {
		dp.SetDoubleValue(n.float())
	}
}

func (d *definition) copyAttributes(into pmetric.NumberDataPoint) {
	for i := range d.attributes {
		d.attributes[i].value.CopyTo(into.Attributes().PutEmpty(d.attributes[i].key))
	}
}

// writeRemainders adds one resource for each category, also where nothing was folded: a series that
// is there from the beginning loses no first sample.
func (b *budgeter) writeRemainders(h *hostState) {
	b.sortOrder(h)
	for c := range h.remainders {
		r := &h.remainders[c]
		rm := b.added.AppendEmpty()
		b.hostAttributes(h, rm.Resource().Attributes())
		rm.Resource().Attributes().PutStr(b.cfg.CategoryAttribute, b.classifier.names[c])
		sm := rm.ScopeMetrics().AppendEmpty()
		sm.Scope().SetName(scopeName)
		metrics := sm.Metrics()
		metrics.EnsureCapacity(len(h.order) + 1)
		var points pmetric.NumberDataPointSlice
		var before *definition
		for _, def := range h.order {
			if def.kind == dropped || def.gauge && !r.any[def.index] {
				continue
			}
			if before == nil || before.name != def.name || before.gauge != def.gauge || before.kind != def.kind {
				points = b.newMetric(metrics, def)
			}
			before = def
			b.writePoint(h, r, def, points.AppendEmpty())
		}
		count := metrics.AppendEmpty()
		count.SetName("process.count")
		count.SetUnit("{process}")
		count.SetDescription("Processes folded into this category.")
		total := count.SetEmptySum()
		total.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		dp := total.DataPoints().AppendEmpty()
		dp.SetTimestamp(pcommon.Timestamp(h.last))
		dp.SetIntValue(r.count)
	}
}

func (b *budgeter) newMetric(metrics pmetric.MetricSlice, def *definition) pmetric.NumberDataPointSlice {
	metric := metrics.AppendEmpty()
	metric.SetName(def.name)
	metric.SetUnit(def.unit)
	metric.SetDescription(def.about)
	if def.gauge {
		return metric.SetEmptyGauge().DataPoints()
	}
	total := metric.SetEmptySum()
	total.SetIsMonotonic(def.kind == counter)
	total.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	if def.kind == counter {
		total.SetAggregationTemporality(b.temporality())
	}
	return total.DataPoints()
}

func (b *budgeter) writePoint(h *hostState, r *remainder, def *definition, dp pmetric.NumberDataPoint) {
	dp.SetTimestamp(pcommon.Timestamp(h.last))
	def.copyAttributes(dp)
	if def.kind != counter {
		def.write(dp, r.levels[def.index].read(def))
		return
	}
	if now := r.sums[def.index].read(def); def.less(r.told[def.index], now) {
		r.told[def.index] = now
	}
	value, start := r.told[def.index], r.start
	if b.deltas() {
		value, start = def.minus(value, r.sent[def.index]), max(r.till, r.start)
		b.pending = append(b.pending, delivery{&r.sent[def.index], &r.till, r.told[def.index], h.last})
	}
	dp.SetStartTimestamp(pcommon.Timestamp(min(start, h.last)))
	def.write(dp, value)
}

func (b *budgeter) hostAttributes(h *hostState, into pcommon.Map) {
	for i, key := range b.cfg.HostAttributes {
		if h.present[i] {
			into.PutStr(key, h.values[i])
		}
	}
}

// sortOrder puts the series of one metric side by side.
func (b *budgeter) sortOrder(h *hostState) {
	if h.sorted == len(h.order) {
		return
	}
	sortDefinitions(h.order)
	h.sorted = len(h.order)
}

// hashOf tells apart the sets of attributes that a process left with. It is never 0, and the same after
// a restart (FNV-1a, 64 bits; summed, since the order of attributes does not matter).
func hashOf(attributes pcommon.Map) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	total := uint64(1)
	for key, value := range attributes.All() {
		hash := uint64(offset)
		for i := range len(key) {
			hash = (hash ^ uint64(key[i])) * prime
		}
		hash *= prime
		if value.Type() == pcommon.ValueTypeInt {
			hash = (hash ^ uint64(value.Int())) * prime
		} else {
			for as, i := text(value), 0; i < len(as); i++ {
				hash = (hash ^ uint64(as[i])) * prime
			}
		}
		total += hash * prime
	}
	return max(total, 1)
}

// nameBySlot takes away what names the process, and puts the slot's number in its place.
func (b *budgeter) nameBySlot(attributes pcommon.Map, number int) {
	attributes.RemoveIf(func(name string, _ pcommon.Value) bool {
		return strings.HasPrefix(name, "process.") && name != b.cfg.CategoryAttribute
	})
	attributes.PutInt(b.cfg.Slots.Attribute, int64(number))
}
