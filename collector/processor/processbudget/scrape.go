package processbudget

import (
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

// budgeter does the work on payloads: it finds the scrapes in them, reads, chooses, folds and writes.
// It knows no clock but that of the data, no storage and no telemetry, and is not safe for concurrent
// use.
type budgeter struct {
	cfg        *Config
	classifier *classifier
	dictionary *dictionary
	reader     reader
	hosts      map[string]*hostState
	hostMemory float64
	tracked    int

	recent      *hostState // of the resource before: most payloads are of one host
	opened      []*hostState
	remove      []bool
	candidates  []candidate
	tierKeep    []float64
	added       pmetric.ResourceMetricsSlice
	pending     []delivery
	slotChanges int64

	// load brings back what was saved of a host; nil without storage.
	load func(key string) *hostState
}

// tally is what became of a payload.
type tally struct {
	in, kept, folded       int64
	reasons                [reasons]int64
	exceeded, hogsHidden   int64
	dwellCut, slotChanges  int64
	untracked, late        int64
	malformed, unsupported int64
	budget                 int64
}

// delivery is a difference that counts as told once the payload was accepted.
type delivery struct {
	sent  *number
	till  *nanos
	value number
	at    nanos
}

func newBudgeter(cfg *Config) (*budgeter, error) {
	classifier, err := newClassifier(cfg)
	if err != nil {
		return nil, err
	}
	b := &budgeter{
		cfg: cfg, classifier: classifier, dictionary: newDictionary(cfg.Gauges),
		hosts: map[string]*hostState{}, hostMemory: float64(cfg.Hog.HostMemory),
	}
	for _, t := range classifier.tiers {
		b.tierKeep = append(b.tierKeep, t.keep)
	}
	b.reader = reader{
		dictionary: b.dictionary, classifier: classifier, hostKeys: cfg.HostAttributes,
		hostValues: make([]string, len(cfg.HostAttributes)), hostHas: make([]bool, len(cfg.HostAttributes)),
	}
	return b, nil
}

// process changes md in place and says what it did. The hosts that took part are in b.opened.
func (b *budgeter) process(md pmetric.Metrics) tally {
	var t tally
	resources := md.ResourceMetrics()
	n := resources.Len()
	b.opened = b.opened[:0]
	b.pending = b.pending[:0]
	b.remove = slices.Grow(b.remove[:0], n)[:n]
	clear(b.remove)
	b.added = pmetric.NewResourceMetricsSlice()
	b.reader.malformed, b.reader.unsupported, b.slotChanges = 0, 0, 0
	for i := range n {
		rm := resources.At(i)
		pid, ok := b.reader.identify(rm.Resource())
		if !ok {
			if b.cfg.UnseenCategory != "" {
				b.readHost(rm)
			}
			continue
		}
		t.in++
		at, started := firstTime(rm)
		if at == 0 {
			b.remove[i] = true
			t.folded++
			b.reader.malformed++
			continue
		}
		h := b.hostOf()
		e := h.entities[pid]
		switch {
		case !h.open:
			b.begin(h, e, at, resources, i, &t)
			b.opened = append(b.opened, h)
		case e != nil && e.scrape == h.scrape && !b.together(h, e, at):
			b.close(h, &t)
			b.begin(h, e, at, resources, i, &t)
		}
		if h.late {
			b.remove[i] = true
			t.folded++
			continue
		}
		if e != nil && e.scrape == h.scrape {
			t.in-- // it was counted
			b.takeMore(h, e, i, rm)
			continue
		}
		b.take(h, e, pid, started, i, rm, &t)
	}
	for _, h := range b.opened {
		b.close(h, &t)
		h.open = false
	}
	if t.in > 0 {
		place := -1
		resources.RemoveIf(func(pmetric.ResourceMetrics) bool {
			place++
			return b.remove[place]
		})
		b.added.MoveAndAppendTo(resources)
	}
	t.malformed, t.unsupported, t.slotChanges = b.reader.malformed, b.reader.unsupported, b.slotChanges
	return t
}

// hostOf is the host that the resource just identified belongs to.
func (b *budgeter) hostOf() *hostState {
	r := &b.reader
	if b.recent != nil && equal(b.recent.values, r.hostValues) {
		return b.recent
	}
	key := strings.Join(r.hostValues, "\x00")
	h, known := b.hosts[key]
	if !known {
		if b.load != nil {
			h = b.load(key)
		}
		if h == nil {
			h = &hostState{key: key, entities: map[int64]*entity{}}
		}
		h.values = append([]string(nil), r.hostValues...)
		h.present = append([]bool(nil), r.hostHas...)
		b.hosts[key] = h
		b.tracked += len(h.entities)
		b.forgetHosts(h)
	}
	b.recent = h
	return h
}

func equal(a, b []string) bool {
	for i := range b {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

// begin decides what a payload of h that starts with a point at `at` is: the next scrape, a further
// part of the present one, the present one once more, or an old one.
func (b *budgeter) begin(h *hostState, e *entity, at nanos, all pmetric.ResourceMetricsSlice, from int, t *tally) {
	h.open, h.parts = true, h.parts[:0]
	h.late, h.again = false, false
	inScrape := e != nil && e.scrape == h.scrape
	window := b.window(h)
	switch {
	case h.scrape == 0:
		h.since, h.horizon = at, at
	case at >= h.first && at-h.first < window && !inScrape:
		return
	case at > h.last:
	case at == h.first:
		h.again = true
	case b.grown(h, all, from):
		// The host's clock was set back: its counters have gone on.
		h.last, h.first, h.swept = at, at, at
	default:
		h.late = true
		t.late++
		return
	}
	if !h.again {
		h.previous, h.firstOfPrevious = h.last, h.first
	}
	h.scrape++
	h.first, h.last = at, at
	h.arrived, h.kept, h.critical = 0, 0, 0
	for i := range h.remainders {
		r := &h.remainders[i]
		clear(r.levels)
		clear(r.any)
		r.count = 0
	}
}

// window is how far apart parts of one scrape may begin: never more than half an interval.
func (b *budgeter) window(h *hostState) nanos {
	window := nanos(b.cfg.ScrapeWindow)
	if h.firstOfPrevious != 0 {
		window = min(window, (h.first-min(h.first, h.firstOfPrevious))/2)
	}
	return window
}

// together says whether a process that comes again in a payload does so in the same scrape, as when
// its metrics were parted, rather than in the next.
func (b *budgeter) together(h *hostState, e *entity, at nanos) bool {
	return e.part < len(h.parts) && h.parts[e.part].entity == e && at < e.seenAt+max(b.window(h), 1)
}

// grown says whether the counters of known processes in a payload have risen since they were last
// seen, as they do whatever the clock says.
func (b *budgeter) grown(h *hostState, all pmetric.ResourceMetricsSlice, from int) bool {
	rose := 0.0
	for i := from; i < all.Len(); i++ {
		rm := all.At(i)
		pid, ok := b.reader.identify(rm.Resource())
		e := h.entities[pid]
		if !ok || e == nil || !equal(h.values, b.reader.hostValues) {
			continue
		}
		for _, sm := range rm.ScopeMetrics().All() {
			for _, metric := range sm.Metrics().All() {
				shape, points, _ := shapeOf(metric)
				if !shape.monotonic || shape.delta {
					continue
				}
				for _, dp := range points.All() {
					value, integer, ok := valueOf(dp, true)
					if !ok {
						continue
					}
					for j := range e.streams {
						st := &e.streams[j]
						if st.def.fits(&shape, metric.Name(), integer, dp.Attributes()) {
							rose += st.def.float(value) - st.def.float(st.value)
						}
					}
				}
			}
		}
	}
	b.reader.identify(all.At(from).Resource())
	return rose > 0
}

// take reads a process of the present scrape.
func (b *budgeter) take(h *hostState, e *entity, pid int64, started nanos, place int, rm pmetric.ResourceMetrics, t *tally) {
	id := b.reader.id
	fresh := e == nil || !e.sameProcess(started)
	tracked := true
	if fresh {
		if e != nil {
			b.retire(h, e)
		}
		tracked = b.room(h)
		e = &entity{pid: pid, started: started}
		if tracked {
			h.entities[pid] = e
			b.tracked++
		} else {
			t.untracked++
			e.started = 0 // what it used before it is remembered cannot be told from what was counted
		}
	}
	if fresh || e.id != id {
		e.id = id
		e.class = b.classifier.classify(&id)
	}
	s := b.reader.read(h, e, rm)
	s.place, s.tracked = place, tracked
	if s.at == 0 {
		s.at = h.last
	}
	if !h.again {
		over := seconds(max(e.seenAt, h.previous), s.at)
		s.odd = e.departs(s.use, over, &b.cfg.Anomaly)
	}
	e.scrape, e.seenAt = h.scrape, max(s.at, 1)
	h.last = max(h.last, s.at)
	e.part = len(h.parts)
	h.parts = append(h.parts, s)
}

// takeMore reads a further part of a process that is in this scrape already.
func (b *budgeter) takeMore(h *hostState, e *entity, place int, rm pmetric.ResourceMetrics) {
	s := &h.parts[e.part]
	more := b.reader.read(h, e, rm)
	s.more = append(s.more, another{place, rm})
	s.at = max(s.at, more.at)
	h.last = max(h.last, more.at)
	for r := range ranks {
		s.use[r] = max(s.use[r], more.use[r])
	}
}

// close chooses among the processes of the part that was read, folds the others and writes remainders.
func (b *budgeter) close(h *hostState, t *tally) {
	if h.late || len(h.parts) == 0 {
		return
	}
	for len(h.remainders) < len(b.classifier.names) {
		h.remainders = append(h.remainders, remainder{start: h.since})
	}
	for i := range h.remainders {
		h.remainders[i].grow(len(b.dictionary.all))
	}
	budget := b.decide(h, t)
	t.budget = int64(budget)
	// First those that go, so that their slots are free for those that come.
	for i := range h.parts {
		s := &h.parts[i]
		if s.entity.reason == folded || !s.tracked {
			b.remove[s.place] = true
			for _, more := range s.more {
				b.remove[more.place] = true
			}
			b.fold(h, s)
			t.folded++
		}
	}
	for i := range h.parts {
		if s := &h.parts[i]; !b.remove[s.place] {
			b.keep(h, s)
			t.kept++
			t.reasons[s.entity.reason]++
		}
	}
	b.writeRemainders(h)
	if b.cfg.UnseenCategory != "" {
		h.accountCPU()
		b.writeUnseen(h)
	}
	b.writeEnded(h, budget)
	if b.cfg.Slots.Enabled {
		b.writeSlots(h)
	}
	b.sweep(h, b.cfg.StaleAfter)
	clear(h.parts) // so that the payload can be freed
	h.parts = h.parts[:0]
}

// decide sets the reason of every process of the part, and answers the budget of the scrape.
func (b *budgeter) decide(h *hostState, t *tally) int {
	budget := b.adaptedBudget(h)
	if h.again {
		for i := range h.parts {
			if e := h.parts[i].entity; !e.shown {
				e.reason = folded
			}
		}
		return budget
	}
	most := b.cfg.MaxCritical
	if most == 0 {
		most = max(1, budget*3/4)
	}
	b.candidates = b.candidates[:0]
	for i := range h.parts {
		b.candidates = append(b.candidates, b.candidate(&h.parts[i]))
	}
	found := choose(b.candidates, limits{
		budget:   max(0, budget-h.kept),
		critical: max(0, most-h.critical),
		top:      [ranks]RankConfig{b.cfg.Top.CPU, b.cfg.Top.Memory, b.cfg.Top.IO},
		margin:   b.cfg.Hysteresis.Margin,
		minDwell: b.cfg.Hysteresis.MinDwell,
		tiers:    b.tierKeep,
	})
	for i := range h.parts {
		e := h.parts[i].entity
		e.reason, e.seated = b.candidates[i].reason, b.candidates[i].seat
		if e.reason == isCritical {
			h.critical++
		}
	}
	h.kept += found.kept
	t.exceeded += int64(found.exceeded)
	t.hogsHidden += int64(found.hogsHidden)
	t.dwellCut += int64(found.dwellCut)
	return budget
}

// candidate is a process as the choice sees it.
func (b *budgeter) candidate(s *seen) candidate {
	e := s.entity
	c := candidate{
		use: s.use, seated: e.seated, shown: e.shown, known: e.shownAs != 0, critical: e.class.critical, odd: s.odd, order: e.pid,
		tier: -1,
	}
	if e.shown {
		c.since = time.Duration(s.at - min(s.at, e.shownSince))
	}
	if b.cfg.Hog.CPU > 0 {
		c.hog = s.use[byCPU] / b.cfg.Hog.CPU
	}
	if line := b.cfg.Hog.Memory * b.hostMemory; line > 0 {
		c.hog = max(c.hog, s.use[byMemory]/line)
	}
	if len(b.classifier.tiers) > 0 {
		c.tier = b.classifier.tierOf(e.class.tiers, s.use[byCPU], s.use[byMemory])
	}
	if !s.tracked {
		// It cannot be kept, and must not take the place of one that can.
		c.use, c.critical, c.hog, c.odd = [ranks]float64{}, -1, 0, 0
	}
	return c
}

// room makes room for one more process, and says whether there is any.
func (b *budgeter) room(h *hostState) bool {
	if b.tracked < b.cfg.MaxTracked {
		return true
	}
	for _, other := range b.hosts {
		if other != h {
			b.sweep(other, 0)
		}
	}
	b.sweep(h, 0)
	return b.tracked < b.cfg.MaxTracked
}

// sweep forgets the processes of h that have not been reported for a time.
func (b *budgeter) sweep(h *hostState, stale time.Duration) {
	limit := nanos(stale)
	if limit > 0 && h.last-min(h.last, h.swept) < limit/4 {
		return
	}
	h.swept = h.last
	for _, e := range h.entities {
		if e.scrape+1 < h.scrape && h.last-min(h.last, e.seenAt) >= limit {
			b.retire(h, e)
			// Were it alive and came back, its first sample must not count a second time.
			h.horizon = max(h.horizon, e.started)
		}
	}
}

// retire forgets a process.
func (b *budgeter) retire(h *hostState, e *entity) {
	b.settle(h, e)
	b.freeSlot(h, e)
	if h.entities[e.pid] == e {
		delete(h.entities, e.pid)
		b.tracked--
	}
}

// maxHosts bounds the hosts that are remembered, and hostForgotten when one is.
const (
	maxHosts      = 10_000
	hostForgotten = nanos(6 * time.Hour)
)

// forgetHosts drops hosts that stopped reporting, and the one that is silent longest if there are too
// many.
func (b *budgeter) forgetHosts(newest *hostState) {
	var silent *hostState
	latest := nanos(0)
	for _, h := range b.hosts {
		latest = max(latest, h.last)
	}
	for _, h := range b.hosts {
		if h == newest || h.open {
			continue
		}
		if latest-h.last > hostForgotten {
			b.drop(h)
		} else if silent == nil || h.last < silent.last {
			silent = h
		}
	}
	if len(b.hosts) > maxHosts && silent != nil {
		b.drop(silent)
	}
}

func (b *budgeter) drop(h *hostState) {
	b.tracked -= len(h.entities)
	delete(b.hosts, h.key)
	if b.recent == h {
		b.recent = nil
	}
}
