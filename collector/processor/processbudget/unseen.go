package processbudget

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// What no scrape of processes sees: CPU time of processes that live between two scrapes, and of the
// last moments of those that end. Netdata's apps.plugin finds it in the parents, to which the kernel
// adds it (cutime and cstime, proc(5)); the process scraper does not report that. But the host's own
// counter has it. If system.cpu.time comes in the same payload, what the host was busy and no process
// accounts for leaves as one more category, so that the categories add up to the host.

// hostCPU is the account of a host's CPU time, in seconds since the first scrape with both sides.
type hostCPU struct {
	came    bool    // in the present payload
	busy    float64 // as the host says, since it started
	latest  float64 // of the scrape before
	base    float64 // of busy
	known   float64 // what processes used
	started bool
	out     output
}

// idleStates are what system.cpu.time says of time that no process could have used: idle, waiting for
// a disk, taken by another guest, and the kernel's answers to interrupts, which it bills to nobody.
var idleStates = map[string]bool{
	"idle": true, "wait": true, "iowait": true, "steal": true, "stolen": true, "interrupt": true, "softirq": true,
}

// readHost looks for the host's own CPU time in a resource that is no process.
func (b *budgeter) readHost(rm pmetric.ResourceMetrics) {
	busy, found := 0.0, false
	for _, sm := range rm.ScopeMetrics().All() {
		for _, metric := range sm.Metrics().All() {
			if metric.Name() != "system.cpu.time" || metric.Type() != pmetric.MetricTypeSum {
				continue
			}
			for _, dp := range metric.Sum().DataPoints().All() {
				value, integer, ok := valueOf(dp, true)
				if !ok || integer || idleStates[stateOf(dp.Attributes())] {
					continue
				}
				busy += value.float()
				found = true
			}
		}
	}
	if found {
		h := b.hostOf()
		h.cpu.came, h.cpu.busy = true, busy
	}
}

func stateOf(attributes pcommon.Map) string {
	for _, key := range [...]string{"state", "cpu.mode"} {
		if value, has := attributes.Get(key); has {
			return value.Str()
		}
	}
	return ""
}

// accountCPU adds what the processes of a part used.
func (h *hostState) accountCPU() {
	for i := range h.parts {
		e := h.parts[i].entity
		for j := range e.streams {
			if st := &e.streams[j]; st.def.rank == byCPU && st.at == h.scrape {
				h.cpu.known += st.def.float(st.rise)
			}
		}
	}
}

// writeUnseen adds the category of what no process accounts for. The totals since the beginning are
// compared, not those of a scrape: the host's counter is read some milliseconds before or after the
// processes', which evens out.
func (b *budgeter) writeUnseen(h *hostState) {
	c := &h.cpu
	if !c.came {
		return
	}
	c.came = false
	told := c.out.value.float()
	if !c.started || c.busy < c.latest { // the beginning, or the host began again
		c.base, c.started = c.busy-c.known-told, true
	}
	c.latest = c.busy
	if c.out.start == 0 {
		c.out.start = h.last
	}
	if unseen := c.busy - c.base - c.known; unseen > told {
		c.out.value = floatNumber(unseen)
	}
	rm := b.added.AppendEmpty()
	b.hostAttributes(h, rm.Resource().Attributes())
	rm.Resource().Attributes().PutStr(b.cfg.CategoryAttribute, b.cfg.UnseenCategory)
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName(scopeName)
	metric := sm.Metrics().AppendEmpty()
	metric.SetName("process.cpu.time")
	metric.SetUnit("s")
	metric.SetDescription("CPU time that the host was busy and no process accounts for.")
	total := metric.SetEmptySum()
	total.SetIsMonotonic(true)
	total.SetAggregationTemporality(b.temporality())
	dp := total.DataPoints().AppendEmpty()
	dp.SetTimestamp(pcommon.Timestamp(h.last))
	value, start := c.out.value.float(), c.out.start
	if b.deltas() {
		value, start = value-c.out.sent.float(), max(c.out.till, c.out.start)
		b.pending = append(b.pending, delivery{&c.out.sent, &c.out.till, c.out.value, h.last})
	}
	dp.SetStartTimestamp(pcommon.Timestamp(start))
	dp.SetDoubleValue(value)
}
