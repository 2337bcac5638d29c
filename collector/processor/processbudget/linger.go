package processbudget

import (
	"cmp"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Engines that extrapolate, as increase() of Prometheus does, add about half an interval's increment
// to each series that ends inside the window: they suppose that it went on for a while. It did not; what
// the process did next is in the remainder, or nobody saw it. A counter that is repeated unchanged after
// its end leaves them nothing to suppose. That is what `linger` does, for so long, with what is left of
// the budget. It makes no new series, only points.

// ended is the counters of a process that no longer leaves by name, or not under that name.
type ended struct {
	attributes pcommon.Map
	streams    []endedStream
	at         nanos
	key        uint64
}

type endedStream struct {
	def   *definition
	value number
	start nanos
}

func (b *budgeter) lingers() bool { return b.cfg.Linger > 0 && !b.deltas() }

// remember notes the attributes that a process leaves with.
func (b *budgeter) remember(e *entity, attributes pcommon.Map) {
	if b.lingers() {
		e.leftWith = pcommon.NewMap()
		attributes.CopyTo(e.leftWith)
	}
}

// end notes that the series of e end, all of them or only those of its present name.
func (b *budgeter) end(h *hostState, e *entity) {
	if e.leftWith == (pcommon.Map{}) || e.slot != 0 {
		return
	}
	gone := ended{attributes: e.leftWith, at: h.last}
	for i := range e.streams {
		if out := e.streams[i].out; out != nil {
			gone.streams = append(gone.streams, endedStream{e.streams[i].def, out.value, out.start})
		}
	}
	if h.ended == nil {
		h.ended = map[uint64]ended{}
	}
	h.ended[e.shownAs] = gone
}

// writeEnded repeats the counters that ended, the latest first, as far as the budget goes.
func (b *budgeter) writeEnded(h *hostState, budget int) {
	if !b.lingers() {
		return
	}
	// What was not reported is at its end, unless it comes back.
	for _, e := range h.entities {
		if e.shown && e.scrape+1 == h.scrape && e.slot == 0 {
			b.end(h, e)
		}
	}
	var all []ended
	for key, gone := range h.ended {
		if h.last-min(h.last, gone.at) > nanos(b.cfg.Linger) {
			delete(h.ended, key)
			continue
		}
		gone.key = key
		all = append(all, gone)
	}
	all = b.idleSlots(h, all)
	slices.SortFunc(all, func(a, b ended) int {
		return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(a.key, b.key))
	})
	room := max(0, budget-h.kept)
	for i, gone := range all {
		if i < room {
			b.writeOneEnded(h, gone)
			continue
		}
		delete(h.ended, gone.key) // once cut, it has ended
	}
}

// idleSlots adds the slots, one for each category, under which nobody leaves at present.
func (b *budgeter) idleSlots(h *hostState, all []ended) []ended {
	for i := range h.slots {
		for j := range h.slots[i].outputs {
			o := &h.slots[i].outputs[j]
			if o.scrape == h.scrape || o.leftWith == (pcommon.Map{}) || h.last-min(h.last, o.at) > nanos(b.cfg.Linger) {
				continue
			}
			gone := ended{attributes: o.leftWith, at: o.at, key: uint64(i*len(b.classifier.names) + o.category)}
			for index, out := range o.outputs {
				if out != nil && out.start != 0 {
					gone.streams = append(gone.streams, endedStream{b.dictionary.all[index], out.value, out.start})
				}
			}
			all = append(all, gone)
		}
	}
	return all
}

func (b *budgeter) writeOneEnded(h *hostState, gone ended) {
	rm := b.added.AppendEmpty()
	gone.attributes.CopyTo(rm.Resource().Attributes())
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName(scopeName)
	var points pmetric.NumberDataPointSlice
	var before *definition
	for _, st := range gone.streams {
		if before == nil || before.name != st.def.name {
			points = b.newMetric(sm.Metrics(), st.def)
		}
		before = st.def
		dp := points.AppendEmpty()
		st.def.copyAttributes(dp)
		dp.SetStartTimestamp(pcommon.Timestamp(st.start))
		dp.SetTimestamp(pcommon.Timestamp(h.last))
		st.def.write(dp, st.value)
	}
}
