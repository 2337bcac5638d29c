package processbudget

import (
	"cmp"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Slots. A process that is kept gets a number, and leaves under it: when another takes its place, the
// series stay the same. The counters of a slot carry what whoever holds it used, one set for each
// category, so that sums by category stay exact. Which process holds which slot is a metric of its own.

// slot is one number.
type slot struct {
	holder   *entity
	service  identity // of the last holder, without its command line
	category int      // of the last holder
	freed    nanos    // when it became free; 0 if it was never taken
	outputs  []slotOutputs
	told     holding // by the mapping, in the scrape before
}

// slotOutputs are the counters of a slot in one category, by definition.
type slotOutputs struct {
	category int
	outputs  []*output
	leftWith pcommon.Map // the attributes they leave with, if they are to linger
	scrape   uint64      // the last in which they left
	at       nanos
}

func (s *slot) outputsOf(category int) *slotOutputs {
	for i := range s.outputs {
		if s.outputs[i].category == category {
			return &s.outputs[i]
		}
	}
	s.outputs = append(s.outputs, slotOutputs{category: category})
	return &s.outputs[len(s.outputs)-1]
}

func (o *slotOutputs) of(index int) *output {
	for len(o.outputs) <= index {
		o.outputs = append(o.outputs, nil)
	}
	if o.outputs[index] == nil {
		o.outputs[index] = &output{}
	}
	return o.outputs[index]
}

// slotFor is the number of a process that is kept: the one it has, else that of its service, else one
// that was used for its category, else the lowest. There is always one, since no more than
// max_processes are kept; a process that did not come with this scrape gives way.
func (b *budgeter) slotFor(h *hostState, e *entity) int {
	if e.slot != 0 {
		return e.slot
	}
	service := serviceOf(e)
	best, worth := -1, -1
	for i := range h.slots {
		s := &h.slots[i]
		score := 0
		switch {
		case s.holder == nil:
			score = 1
		case s.holder.scrape == h.scrape:
			continue
		}
		switch {
		case s.service == service:
			score += 8
		case s.category == e.class.category:
			score += 2
		}
		if score > worth {
			best, worth = i, score
		}
	}
	// A new slot is better than one of another category, and than one that is held by another service.
	if worth < 3 && len(h.slots) < b.cfg.MaxProcesses {
		h.slots = append(h.slots, slot{})
		best = len(h.slots) - 1
	}
	s := &h.slots[best]
	if s.holder != nil {
		b.freeSlot(h, s.holder)
	}
	if s.service != service || s.freed == 0 {
		b.slotChanges++
	}
	s.holder, s.service, s.category = e, service, e.class.category
	s.freed = max(h.last, 1)
	e.slot = best + 1
	return e.slot
}

// serviceOf is what stays when a service restarts.
func serviceOf(e *entity) identity {
	service := e.id
	service.command = ""
	return service
}

// freeSlot takes a process's slot away; what it did not deliver stays with the slot.
func (b *budgeter) freeSlot(h *hostState, e *entity) {
	if e.slot == 0 {
		return
	}
	s := &h.slots[e.slot-1]
	if s.holder == e {
		s.holder, s.freed = nil, max(h.last, 1)
	}
	e.slot, e.shown = 0, false
	for i := range e.streams {
		e.streams[i].out = nil
	}
}

// holding is what the mapping says of a slot.
type holding struct {
	pid            int64
	name, category string
	reason         string
}

// writeSlots tells who holds which slot. Of a slot that changed hands it says once, by a point without
// a value, that the former holding is over: a backend would show both for a while, and refuse to join.
func (b *budgeter) writeSlots(h *hostState) {
	var points pmetric.NumberDataPointSlice
	tell := func(number int, held holding) pmetric.NumberDataPoint {
		if points == (pmetric.NumberDataPointSlice{}) {
			points = b.newMapping(h)
		}
		dp := points.AppendEmpty()
		dp.SetTimestamp(pcommon.Timestamp(h.last))
		at := dp.Attributes()
		at.PutInt(b.cfg.Slots.Attribute, int64(number))
		at.PutInt("process.pid", held.pid)
		at.PutStr("process.executable.name", held.name)
		at.PutStr(b.cfg.CategoryAttribute, held.category)
		if b.cfg.ReasonAttribute != "" {
			at.PutStr(b.cfg.ReasonAttribute, held.reason)
		}
		return dp
	}
	for i := range h.slots {
		s := &h.slots[i]
		var now holding
		if e := s.holder; e != nil && e.scrape == h.scrape {
			now = holding{pid: e.pid, name: e.id.name, category: b.classifier.names[e.class.category]}
			if b.cfg.ReasonAttribute != "" {
				now.reason = e.reason.String()
			}
			tell(i+1, now).SetIntValue(1)
		}
		if s.told != now && s.told != (holding{}) {
			tell(i+1, s.told).SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		}
		s.told = now
	}
}

func (b *budgeter) newMapping(h *hostState) pmetric.NumberDataPointSlice {
	rm := b.added.AppendEmpty()
	b.hostAttributes(h, rm.Resource().Attributes())
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName(scopeName)
	metric := sm.Metrics().AppendEmpty()
	metric.SetName(b.cfg.Slots.MappingMetric)
	metric.SetDescription("Which process holds which slot; always 1.")
	return metric.SetEmptyGauge().DataPoints()
}

func sortDefinitions(order []*definition) {
	slices.SortStableFunc(order, func(a, b *definition) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.kind, b.kind))
	})
}
