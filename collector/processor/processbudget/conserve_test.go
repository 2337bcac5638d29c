package processbudget

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Is everything that arrives there when it leaves? Two accounts are kept that share nothing with the
// processor: one of what arrived, by the rule of the README; one of what a consumer of time series
// sees, who knows no rule but that a first sample is a base and a fall is a reset.

type amounts map[string]float64 // "category metric point attributes" -> amount

func (a amounts) add(key string, n float64) { a[key] += n }

// arrivals is the account of what arrived.
type arrivals struct {
	began nanos
	last  map[string]float64 // "pid start metric attributes" -> value
}

func (a *arrivals) account(md pmetric.Metrics, category func(name string) string) (rises, levels amounts) {
	rises, levels = amounts{}, amounts{}
	for _, rm := range md.ResourceMetrics().All() {
		attributes := rm.Resource().Attributes()
		pid, has := attributes.Get("process.pid")
		if !has {
			continue
		}
		name, _ := attributes.Get("process.executable.name")
		in := category(name.Str())
		levels.add(in+" process.count{}", 1)
		eachPoint(rm, func(m pmetric.Metric, monotonic bool, dp pmetric.NumberDataPoint) {
			series := in + " " + m.Name() + attributesOf(dp)
			if !monotonic {
				levels.add(series, numberOf(dp))
				return
			}
			if a.began == 0 {
				a.began = nanos(dp.Timestamp())
			}
			key := fmt.Sprint(pid.Int(), dp.StartTimestamp(), m.Name(), attributesOf(dp))
			before, met := a.last[key]
			now := numberOf(dp)
			switch {
			case met:
				rises.add(series, now-before)
			case nanos(dp.StartTimestamp()) > a.began:
				rises.add(series, now)
			}
			a.last[key] = now
		})
	}
	return rises, levels
}

// departures is the account of what left.
type departures struct {
	last map[string]float64
	at   map[string]nanos
}

func (c *departures) account(t *testing.T, md pmetric.Metrics) (rises, levels amounts) {
	rises, levels = amounts{}, amounts{}
	for _, rm := range md.ResourceMetrics().All() {
		attributes := rm.Resource().Attributes()
		category, has := attributes.Get("process.category")
		if !has {
			continue // the mapping of slots
		}
		in := category.Str()
		if _, remainder := attributes.Get("process.pid"); remainder || hasSlot(attributes) {
			levels.add(in+" process.count{}", 1)
		}
		identity := attributesText(attributes)
		eachPoint(rm, func(m pmetric.Metric, monotonic bool, dp pmetric.NumberDataPoint) {
			series := in + " " + m.Name() + attributesOf(dp)
			if !monotonic {
				levels.add(series, numberOf(dp))
				return
			}
			key := identity + m.Name() + attributesOf(dp)
			now, at := numberOf(dp), nanos(dp.Timestamp())
			if m.Sum().AggregationTemporality() == pmetric.AggregationTemporalityDelta {
				rises.add(series, now)
				return
			}
			before, met := c.last[key]
			require.Greater(t, at, c.at[key], "a series goes back in time: %s", key)
			require.LessOrEqual(t, nanos(dp.StartTimestamp()), at)
			switch {
			case met && now >= before:
				rises.add(series, now-before)
			case met:
				rises.add(series, now)
				require.Contains(t, key, "process.pid", "a remainder fell: %s from %v to %v", key, before, now)
			}
			c.last[key], c.at[key] = now, at
		})
	}
	return rises, levels
}

func hasSlot(m pcommon.Map) bool { _, has := m.Get("process.slot"); return has }

func eachPoint(rm pmetric.ResourceMetrics, visit func(pmetric.Metric, bool, pmetric.NumberDataPoint)) {
	for _, sm := range rm.ScopeMetrics().All() {
		for _, m := range sm.Metrics().All() {
			if m.Type() != pmetric.MetricTypeSum {
				continue
			}
			for _, dp := range m.Sum().DataPoints().All() {
				visit(m, m.Sum().IsMonotonic(), dp)
			}
		}
	}
}

func numberOf(dp pmetric.NumberDataPoint) float64 {
	if dp.ValueType() == pmetric.NumberDataPointValueTypeInt {
		return float64(dp.IntValue())
	}
	return dp.DoubleValue()
}

func attributesOf(dp pmetric.NumberDataPoint) string { return attributesText(dp.Attributes()) }

func attributesText(m pcommon.Map) string {
	parts := make([]string, 0, m.Len())
	for key, value := range m.All() {
		parts = append(parts, key+"="+value.AsString())
	}
	sort.Strings(parts)
	return "{" + strings.Join(parts, ",") + "}"
}

// requireSame compares two accounts: whole numbers exactly, CPU seconds to a billionth.
func requireSame(t *testing.T, want, got amounts, what string, scrape int) {
	t.Helper()
	for key := range want {
		if strings.Contains(key, "cpu.time") {
			require.InDelta(t, want[key], got[key], 1e-8, "%s of %s in scrape %d", what, key, scrape)
			continue
		}
		require.Equal(t, want[key], got[key], "%s of %s in scrape %d", what, key, scrape)
	}
	for key := range got {
		if _, known := want[key]; !known {
			require.InDelta(t, 0, got[key], 1e-8, "%s of %s in scrape %d", what, key, scrape)
		}
	}
}

func testConfig(change func(*Config)) *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.MaxProcesses, cfg.MaxCritical = 20, 8
	cfg.Critical = []Matcher{{Name: "nginx"}}
	cfg.Categories = []Category{
		{Category: "build", Matcher: Matcher{NameRegex: "^(cc1|ld)$"}},
		{Category: "web", Matcher: Matcher{NameRegex: "^(nginx|chrome)$"}},
	}
	cfg.Hog.HostMemory = 8 << 30
	cfg.Hysteresis.MinDwell = 60_000_000_000
	if change != nil {
		change(cfg)
	}
	return cfg
}

func categoryOf(name string) string {
	switch name {
	case "cc1", "ld":
		return "build"
	case "nginx", "chrome":
		return "web"
	}
	return "other"
}

func shownIn(md pmetric.Metrics) int {
	n := 0
	for _, rm := range md.ResourceMetrics().All() {
		a := rm.Resource().Attributes()
		if _, has := a.Get("process.pid"); has || hasSlot(a) {
			n++
		}
	}
	return n
}

var variants = map[string]func(*Config){
	"default":  nil,
	"tight":    func(c *Config) { c.MaxProcesses, c.MaxCritical = 3, 1 },
	"slots":    func(c *Config) { c.Slots.Enabled = true },
	"adaptive": func(c *Config) { c.Adaptive.Enabled, c.Adaptive.SetPoint = true, 600 },
	"tiers": func(c *Config) {
		c.Tiers = []Tier{
			{Name: "active", MinCPU: 0.01, Keep: 1},
			{Name: "builds", Match: []Matcher{{NameRegex: "cc1|ld"}}, Keep: 0.1},
			{Name: "rest", Keep: 0.05},
		}
	},
	"delta":       func(c *Config) { c.Temporality = "delta" },
	"delta slots": func(c *Config) { c.Temporality, c.Slots.Enabled = "delta", true },
	"no dwell":    func(c *Config) { c.Hysteresis = HysteresisConfig{} },
	"reasons":     func(c *Config) { c.ReasonAttribute = "process.budget.reason" },
	"linger":      func(c *Config) { c.Linger = 60_000_000_000 },
	"linger slots": func(c *Config) {
		c.Linger, c.Slots.Enabled = 60_000_000_000, true
	},
	"forgetful": func(c *Config) { c.StaleAfter = 1 },
}

// TestNothingIsLostOrCountedTwice is the promise: in each scrape, what leaves is what arrived.
func TestNothingIsLostOrCountedTwice(t *testing.T) {
	for name, change := range variants {
		for seed := range seeds(6) {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				t.Parallel()
				cfg := testConfig(change)
				b, err := newBudgeter(cfg)
				require.NoError(t, err)
				s := newSimulation(seed, 60, []float64{0, 0.5, 3}[seed%3])
				s.maxPID = []int64{100_000, 400}[seed%2]
				if name == "forgetful" {
					s.missing = 0 // what is missed once is forgotten, by its own setting
				}
				in := arrivals{last: map[string]float64{}}
				out := departures{last: map[string]float64{}, at: map[string]nanos{}}
				for scrape := range 150 {
					if scrape > 0 {
						s.step()
					}
					md := s.scrape()
					arrivedRises, arrivedLevels := in.account(md, categoryOf)
					if scrape%17 == 5 {
						b = restarted(t, b)
					}
					b.process(md)
					b.delivered()
					require.LessOrEqual(t, shownIn(md), cfg.MaxProcesses)
					leftRises, leftLevels := out.account(t, md)
					requireSame(t, arrivedRises, leftRises, "increment", scrape)
					if cfg.Linger == 0 { // who lingers looks like a process, without levels
						requireSame(t, arrivedLevels, leftLevels, "level", scrape)
					}
				}
			})
		}
	}
}

// seeds are how many to try; with -short, as under the race detector, one will do.
func seeds(n uint64) uint64 {
	if testing.Short() {
		return 1
	}
	return n
}

// restarted is a new processor with what the old one saved.
func restarted(t *testing.T, old *budgeter) *budgeter {
	t.Helper()
	saved := map[string][]byte{}
	for key, h := range old.hosts {
		saved[key] = old.encodeHost(h, nil)
	}
	b, err := newBudgeter(old.cfg)
	require.NoError(t, err)
	b.load = func(key string) *hostState {
		h, err := b.decodeHost(key, saved[key])
		require.NoError(t, err)
		return h
	}
	return b
}

// TestCriticalIsAlwaysShown: over 10,000 scrapes, with births, exits, execs and restarts, every
// critical process that arrives leaves by name, as long as there are no more than may.
func TestCriticalIsAlwaysShown(t *testing.T) {
	for seed := range seeds(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(func(c *Config) { c.MaxProcesses, c.MaxCritical = 40, 30 })
			b, err := newBudgeter(cfg)
			require.NoError(t, err)
			s := newSimulation(seed, 30, 0.3)
			for range 500 {
				s.step()
				md := s.scrape()
				critical := criticalIn(md)
				require.LessOrEqual(t, len(critical), cfg.MaxCritical)
				counted := b.process(md)
				require.Zero(t, counted.exceeded)
				require.Subset(t, criticalIn(md), critical)
			}
		})
	}
}

func criticalIn(md pmetric.Metrics) []int64 {
	found := []int64{}
	for _, rm := range md.ResourceMetrics().All() {
		name, has := rm.Resource().Attributes().Get("process.executable.name")
		if has && name.Str() == "nginx" {
			pid, _ := rm.Resource().Attributes().Get("process.pid")
			found = append(found, pid.Int())
		}
	}
	return found
}
