package processbudget

import (
	"math"
	"slices"
	"time"
)

// Which processes leave by name. Pure: it sees what each process uses and what was shown before, and
// answers with a reason for each that stays.

// reason is why a process leaves by name.
type reason uint8

const (
	folded reason = iota
	isCritical
	isTopCPU
	isTopMemory
	isTopIO
	isHog
	inDwell
	isAnomaly
	reasons
)

var reasonNames = [reasons]string{"folded", "critical", "cpu", "memory", "io", "hog", "dwell", "anomaly"}

func (r reason) String() string { return reasonNames[r] }

// candidate is a process as the choice sees it.
type candidate struct {
	use      [ranks]float64 // cores, bytes, bytes per second
	seated   [ranks]bool    // held a seat in the scrape before
	shown    bool           // left by name in the scrape before
	known    bool           // left by name at some time, so that its series exist
	since    time.Duration  // how long it has been shown
	critical int            // rank of its rule, or -1
	hog      float64        // by how much it exceeds the line of a hog; under 1 is none
	odd      float64        // by which factor it departs from its average, 0 if that is no anomaly
	tier     int            // or -1
	order    int64          // settles what is equal: the pid

	reason reason
	seat   [ranks]bool // holds a seat now
}

// limits is what a choice may spend.
type limits struct {
	budget   int // left for this scrape
	critical int // of it, at most for critical processes
	top      [ranks]RankConfig
	margin   float64
	minDwell time.Duration
	tiers    []float64 // the largest part of each tier's members
}

// chosen counts what a choice had to leave out.
type chosen struct {
	kept       int
	exceeded   int // critical, but folded
	hogsHidden int
	dwellCut   int // folded before their time
}

// choose sets the reason of each candidate, and which seats it holds.
func choose(all []candidate, l limits) chosen {
	c := choice{all: all, left: l.budget, caps: tierCaps(all, l.tiers)}
	critical := c.keepCritical(min(l.critical, l.budget))
	share := l.budget - critical
	for r := range ranks {
		seats := l.top[r].Seats
		if seats == 0 {
			seats = int(math.Floor(l.top[r].Share*float64(share) + 1e-9))
		}
		c.seat(r, min(seats, share), l.top[r].Floor, l.margin)
	}
	c.keepBest(isHog,
		func(p *candidate) bool { return p.hog >= 1 },
		func(p *candidate) float64 { return p.hog })
	c.keepBest(inDwell,
		func(p *candidate) bool { return p.shown && p.since < l.minDwell },
		func(p *candidate) float64 { return -p.since.Seconds() })
	c.keepBest(isAnomaly,
		func(p *candidate) bool { return p.odd > 0 },
		func(p *candidate) float64 { return p.odd })
	found := chosen{kept: l.budget - c.left}
	for i := range all {
		if all[i].reason != folded {
			continue
		}
		if all[i].critical >= 0 {
			found.exceeded++
		}
		if all[i].hog >= 1 {
			found.hogsHidden++
		}
		if all[i].shown && all[i].since < l.minDwell {
			found.dwellCut++
		}
	}
	return found
}

type choice struct {
	all     []candidate
	left    int
	caps    []int // what is left of each tier
	scratch []int
}

// tierCaps is how many members of each tier may be kept; rounded up, so that a tier of one shows it.
func tierCaps(all []candidate, keep []float64) []int {
	if len(keep) == 0 {
		return nil
	}
	caps := make([]int, len(keep))
	for i := range all {
		if all[i].tier >= 0 {
			caps[all[i].tier]++
		}
	}
	for i, share := range keep {
		caps[i] = int(math.Ceil(share*float64(caps[i]) - 1e-9))
	}
	return caps
}

func (c *choice) keepCritical(most int) int {
	mine := c.scratch[:0]
	for i := range c.all {
		if c.all[i].critical >= 0 {
			mine = append(mine, i)
		}
	}
	c.scratch = mine
	if len(mine) > most {
		// Those that are shown stay, then the order of the rules, then who was there first.
		slices.SortFunc(mine, func(a, b int) int {
			x, y := &c.all[a], &c.all[b]
			if x.shown != y.shown {
				if x.shown {
					return -1
				}
				return 1
			}
			if x.critical != y.critical {
				return x.critical - y.critical
			}
			return compare(x.order, y.order)
		})
		mine = mine[:most]
	}
	for _, i := range mine {
		c.all[i].reason = isCritical
	}
	c.left -= len(mine)
	return len(mine)
}

// seat gives the seats of a rank to the processes that use most. A process that is kept for another
// reason holds its seat all the same, but spends nothing.
func (c *choice) seat(r rank, seats int, floor, margin float64) {
	if seats <= 0 {
		return
	}
	// Who has a seat is beaten only by the margin. Who was shown before has series already, which
	// the backend bills for a while: it goes before one that is new and uses about the same.
	worth := func(p *candidate) float64 {
		switch {
		case p.seated[r]:
			return p.use[r] * (1 + margin)
		case p.known:
			return p.use[r] * (1 + margin/2)
		}
		return p.use[r]
	}
	ask := seats
	if c.caps != nil {
		ask = len(c.all) // a tier can be full before the seats are
	}
	for _, i := range c.best(ask, func(p *candidate) bool {
		return p.use[r] > 0 && p.use[r] >= floor
	}, worth) {
		p := &c.all[i]
		if p.reason == folded && !c.keep(p, isTopCPU+reason(r)) {
			continue
		}
		p.seat[r] = true
		if seats--; seats == 0 {
			return
		}
	}
}

// keepBest spends what is left on the candidates that qualify, the best first.
func (c *choice) keepBest(why reason, qualifies func(*candidate) bool, worth func(*candidate) float64) {
	if c.left <= 0 {
		return
	}
	for _, i := range c.best(c.left, func(p *candidate) bool {
		return p.reason == folded && qualifies(p) && c.admits(p)
	}, worth) {
		c.keep(&c.all[i], why)
	}
}

func (c *choice) admits(p *candidate) bool {
	return p.tier < 0 || p.hog >= 1 || c.caps[p.tier] > 0
}

func (c *choice) keep(p *candidate, why reason) bool {
	if c.left <= 0 || !c.admits(p) {
		return false
	}
	c.left--
	if p.tier >= 0 {
		c.caps[p.tier]--
	}
	p.reason = why
	return true
}

// best is the n candidates that qualify and are worth most, the best first: a heap of the n best so
// far with the worst on top, since n is small and the candidates are many.
func (c *choice) best(n int, qualifies func(*candidate) bool, worth func(*candidate) float64) []int {
	type entry struct {
		at    int
		worth float64
	}
	worse := func(a, b entry) bool {
		if a.worth != b.worth {
			return a.worth < b.worth
		}
		return c.all[a.at].order > c.all[b.at].order
	}
	heap := make([]entry, 0, min(n, len(c.all)))
	down := func(i int) {
		for {
			child := 2*i + 1
			if child >= len(heap) {
				return
			}
			if child+1 < len(heap) && worse(heap[child+1], heap[child]) {
				child++
			}
			if !worse(heap[child], heap[i]) {
				return
			}
			heap[i], heap[child] = heap[child], heap[i]
			i = child
		}
	}
	for i := range c.all {
		p := &c.all[i]
		if !qualifies(p) {
			continue
		}
		one := entry{i, worth(p)}
		switch {
		case len(heap) < n:
			heap = append(heap, one)
			for at := len(heap) - 1; at > 0 && worse(heap[at], heap[(at-1)/2]); at = (at - 1) / 2 {
				heap[at], heap[(at-1)/2] = heap[(at-1)/2], heap[at]
			}
		case worse(heap[0], one):
			heap[0] = one
			down(0)
		}
	}
	slices.SortFunc(heap, func(a, b entry) int {
		if worse(b, a) {
			return -1
		}
		return 1
	})
	found := make([]int, len(heap))
	for i := range heap {
		found[i] = heap[i].at
	}
	return found
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
