package processbudget

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func someLimits() limits {
	return limits{
		budget: 6, critical: 6, margin: 0.1, minDwell: time.Minute,
		top: [ranks]RankConfig{{Seats: 2, Floor: 0.01}, {Seats: 2}, {Seats: 1, Floor: 1}},
	}
}

func aCandidate(pid int64, cpu, memory, io float64) candidate {
	return candidate{use: [ranks]float64{cpu, memory, io}, critical: -1, tier: -1, order: pid}
}

func reasonsOf(all []candidate) []string {
	found := make([]string, len(all))
	for i := range all {
		found[i] = all[i].reason.String()
	}
	return found
}

func TestChoose(t *testing.T) {
	for name, c := range map[string]struct {
		all    func() []candidate
		change func(*limits)
		want   []string
		found  chosen
	}{
		"nothing arrives": {
			all: func() []candidate { return nil }, want: []string{},
		},
		"critical ones first, then seats by each use": {
			all: func() []candidate {
				all := []candidate{
					aCandidate(1, 0, 1, 0), aCandidate(2, 0.5, 2, 0), aCandidate(3, 0.4, 3, 0),
					aCandidate(4, 0.3, 9, 0), aCandidate(5, 0, 8, 0), aCandidate(6, 0, 1, 50),
					aCandidate(7, 0, 1, 40),
				}
				all[0].critical = 0
				return all
			},
			want:  []string{"critical", "cpu", "cpu", "memory", "memory", "io", "folded"},
			found: chosen{kept: 6},
		},
		"a seat for a process that is kept anyway costs nothing": {
			all: func() []candidate {
				all := []candidate{aCandidate(1, 0.9, 90, 0), aCandidate(2, 0.8, 80, 0), aCandidate(3, 0.7, 70, 0)}
				all[0].critical = 0
				return all
			},
			want: []string{"critical", "cpu", "folded"}, found: chosen{kept: 2},
		},
		"more critical ones than may be: by rule, the rest competes and is counted": {
			all: func() []candidate {
				all := []candidate{aCandidate(1, 0, 5, 0), aCandidate(2, 0, 6, 0), aCandidate(3, 0, 7, 0), aCandidate(4, 0, 1, 0)}
				for i := range all {
					all[i].critical = 3 - i
				}
				return all
			},
			change: func(l *limits) { l.critical = 2 },
			want:   []string{"folded", "memory", "critical", "critical"}, found: chosen{kept: 3, exceeded: 1},
		},
		"a critical one that is shown stays when there are too many": {
			all: func() []candidate {
				all := []candidate{aCandidate(1, 0, 0, 0), aCandidate(2, 0, 0, 0)}
				all[0].critical, all[1].critical, all[1].shown, all[1].since = 0, 1, true, time.Hour
				return all
			},
			change: func(l *limits) { l.critical = 1 },
			want:   []string{"folded", "critical"}, found: chosen{kept: 1, exceeded: 1},
		},
		"below the floor nobody gets a seat": {
			all:  func() []candidate { return []candidate{aCandidate(1, 0.009, 0, 0.5)} },
			want: []string{"folded"},
		},
		"a seat is lost only to one that beats it by the margin": {
			all: func() []candidate {
				all := []candidate{aCandidate(1, 1, 0, 0), aCandidate(2, 1.09, 0, 0), aCandidate(3, 1.08, 0, 0)}
				all[0].seated[byCPU], all[0].shown, all[0].since = true, true, time.Hour
				return all
			},
			want: []string{"cpu", "cpu", "folded"}, found: chosen{kept: 2},
		},
		"and is lost to one that does": {
			all: func() []candidate {
				all := []candidate{aCandidate(1, 1, 0, 0), aCandidate(2, 1.2, 0, 0), aCandidate(3, 1.11, 0, 0)}
				all[0].seated[byCPU], all[0].shown, all[0].since = true, true, time.Hour
				return all
			},
			want: []string{"folded", "cpu", "cpu"}, found: chosen{kept: 2},
		},
		"a hog without a seat is shown before those in dwell": {
			all: func() []candidate {
				all := []candidate{aCandidate(1, 0.9, 0, 0), aCandidate(2, 0.8, 0, 0), aCandidate(3, 0.7, 0, 0), aCandidate(4, 0, 0, 0)}
				all[2].hog = 1.5
				all[3].shown, all[3].since = true, time.Second
				return all
			},
			change: func(l *limits) { l.budget = 3 },
			want:   []string{"cpu", "cpu", "hog", "folded"}, found: chosen{kept: 3, dwellCut: 1},
		},
		"a hidden hog is counted": {
			all: func() []candidate {
				all := []candidate{aCandidate(1, 0.9, 0, 0), aCandidate(2, 0.8, 0, 0)}
				all[0].hog, all[1].hog = 9, 8
				return all
			},
			change: func(l *limits) { l.budget = 1 },
			want:   []string{"cpu", "folded"}, found: chosen{kept: 1, hogsHidden: 1},
		},
		"who is shown stays for its dwell, the youngest first": {
			all: func() []candidate {
				all := []candidate{aCandidate(1, 0, 0, 0), aCandidate(2, 0, 0, 0), aCandidate(3, 0, 0, 0)}
				for i, since := range []time.Duration{50 * time.Second, 10 * time.Second, 2 * time.Minute} {
					all[i].shown, all[i].since = true, since
				}
				return all
			},
			change: func(l *limits) { l.budget = 1 },
			want:   []string{"folded", "dwell", "folded"}, found: chosen{kept: 1, dwellCut: 1},
		},
		"anomalies come last": {
			all: func() []candidate {
				all := []candidate{aCandidate(1, 0, 0, 0), aCandidate(2, 0, 0, 0), aCandidate(3, 0, 0, 0)}
				all[0].odd, all[1].odd = 1, 2
				all[2].shown = true
				return all
			},
			change: func(l *limits) { l.budget = 2 },
			want:   []string{"folded", "anomaly", "dwell"}, found: chosen{kept: 2},
		},
		"a tier limits its members, not critical ones and hogs": {
			all: func() []candidate {
				var all []candidate
				for pid := range int64(20) {
					c := aCandidate(pid, 0, float64(100-pid), 0)
					c.tier = 0
					all = append(all, c)
				}
				all[18].critical, all[19].hog = 0, 2
				return all
			},
			change: func(l *limits) {
				l.budget, l.top[byMemory].Seats, l.tiers = 20, 10, []float64{0.1}
			},
			want:  append(append([]string{"memory", "memory"}, slices.Repeat([]string{"folded"}, 16)...), "critical", "memory"),
			found: chosen{kept: 4},
		},
		"shares are of what critical ones leave": {
			all: func() []candidate {
				all := []candidate{aCandidate(1, 0, 0, 0), aCandidate(2, 0, 0, 0)}
				for i := range all {
					all[i].critical = i
				}
				for pid := int64(3); pid < 9; pid++ {
					all = append(all, aCandidate(pid, float64(pid), 0, 0))
				}
				return all
			},
			change: func(l *limits) { l.top[byCPU] = RankConfig{Share: 0.5} },
			want:   []string{"critical", "critical", "folded", "folded", "folded", "folded", "cpu", "cpu"},
			found:  chosen{kept: 4},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, all := someLimits(), c.all()
			if c.change != nil {
				c.change(&l)
			}
			found := choose(all, l)
			assert.Equal(t, c.want, reasonsOf(all))
			assert.Equal(t, c.found, found)
		})
	}
}

// Whatever arrives: the bound holds, the counts are right, and nobody with a seat uses less, by more
// than the margin, than one who is folded.
func TestChooseAnything(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		all := make([]candidate, rng.IntN(60))
		for i := range all {
			all[i] = aCandidate(int64(i), rng.ExpFloat64(), rng.ExpFloat64(), rng.ExpFloat64())
			all[i].shown, all[i].since = rng.IntN(3) == 0, time.Duration(rng.Int64N(int64(3*time.Minute)))
			all[i].seated = [ranks]bool{rng.IntN(5) == 0, rng.IntN(5) == 0, rng.IntN(5) == 0}
			all[i].known = rng.IntN(2) == 0
			all[i].hog, all[i].odd = rng.ExpFloat64()/2, float64(rng.IntN(2))
			if rng.IntN(6) == 0 {
				all[i].critical = rng.IntN(4)
			}
		}
		l := limits{
			budget: rng.IntN(30), margin: rng.Float64() / 2, minDwell: time.Minute,
			top: [ranks]RankConfig{{Seats: rng.IntN(8), Floor: 0.1}, {Share: rng.Float64() / 2}, {Seats: rng.IntN(4)}},
		}
		l.critical = rng.IntN(30)
		found := choose(all, l)
		kept, critical, exceeded := 0, 0, 0
		for i := range all {
			if all[i].reason != folded {
				kept++
			} else if all[i].critical >= 0 {
				exceeded++
			}
			if all[i].reason == isCritical {
				critical++
			}
		}
		require.Equal(t, found.kept, kept)
		require.Equal(t, found.exceeded, exceeded)
		require.LessOrEqual(t, kept, l.budget)
		require.LessOrEqual(t, critical, min(l.critical, l.budget))
		for r := range ranks {
			for i := range all {
				for j := range all {
					if all[i].reason == isTopCPU+reason(r) && all[j].reason == folded && all[j].use[r] >= l.top[r].Floor {
						require.GreaterOrEqual(t, all[i].use[r]*(1+l.margin)+1e-12, all[j].use[r])
					}
				}
			}
		}
	}
}

func TestAdapt(t *testing.T) {
	cfg := &createDefaultConfig().(*Config).Adaptive
	long := time.Hour
	for _, c := range []struct {
		now   pressure
		held  time.Duration
		ratio float64
		want  pressure
	}{
		{balanced, long, 1, balanced},
		{balanced, long, 0.76, balanced},
		{balanced, long, 0.74, conservative},
		{balanced, long, 1.24, balanced},
		{balanced, long, 1.26, aggressive},
		{balanced, time.Minute, 1.26, balanced}, // too soon
		{conservative, long, 0.8, conservative}, // not back by the hysteresis
		{conservative, long, 0.83, balanced},
		{aggressive, long, 1.15, aggressive},
		{aggressive, long, 1.12, balanced},
		{aggressive, long, 0.5, conservative},
		{conservative, 0, 2.6, aggressive}, // an explosion waits for nothing
	} {
		assert.Equal(t, c.want, adapt(c.now, c.held, c.ratio, cfg), "%+v", c)
	}
}

// The loop of PX-184: under a load that swings around its thresholds, the level changes at most once
// in the dwell, so at most 5 times in 30 minutes of noise around one threshold, and it follows a step.
func TestAdaptDoesNotOscillate(t *testing.T) {
	cfg := &createDefaultConfig().(*Config).Adaptive
	rng := rand.New(rand.NewPCG(3, 4))
	for _, at := range []float64{0.75, 1.25} {
		level, since, changes := balanced, time.Duration(0), 0
		for now := time.Duration(0); now < 30*time.Minute; now += 10 * time.Second {
			next := adapt(level, now-since, at*(1+0.04*rng.NormFloat64()), cfg)
			if next != level {
				level, since, changes = next, now, changes+1
			}
		}
		assert.LessOrEqual(t, changes, 5, "around %v", at)
	}
	assert.Equal(t, 50, budgetAt(aggressive, 100, cfg))
	assert.Equal(t, 1, budgetAt(aggressive, 1, cfg))
}
