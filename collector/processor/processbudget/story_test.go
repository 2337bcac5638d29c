package processbudget

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// One process at a time: what leaves of it, and what of the remainder, scrape by scrape.

// aHost hands hand-made scrapes to a budgeter.
type aHost struct {
	t   *testing.T
	b   *budgeter
	now nanos
}

func newHost(t *testing.T, change func(*Config)) *aHost {
	b, err := newBudgeter(testConfig(func(c *Config) {
		c.MaxProcesses, c.MaxCritical, c.Critical, c.Categories = 1, 0, []Matcher{{Name: "shown"}}, nil
		c.Top, c.Hog, c.Anomaly, c.Hysteresis = TopConfig{}, HogConfig{}, AnomalyConfig{}, HysteresisConfig{}
		c.ScrapeWindow = 0
		if change != nil {
			change(c)
		}
	}))
	require.NoError(t, err)
	return &aHost{t: t, b: b, now: 1_000_000 * second}
}

func (h *aHost) scrape(processes ...*liveProcess) pmetric.Metrics {
	h.now += 10 * second
	md := pmetric.NewMetrics()
	for i, p := range processes {
		p.report(md.ResourceMetrics().AppendEmpty(), h.now+nanos(i))
	}
	return md
}

// left is what leaves of io writes: by pid, and of the remainder as pid 0.
func (h *aHost) left(md pmetric.Metrics) map[int64]int64 {
	h.b.process(md)
	h.b.delivered()
	return writesIn(md)
}

func writesIn(md pmetric.Metrics) map[int64]int64 {
	found := map[int64]int64{}
	for _, rm := range md.ResourceMetrics().All() {
		pid := int64(0)
		if value, has := rm.Resource().Attributes().Get("process.pid"); has {
			pid = value.Int()
		}
		eachPoint(rm, func(m pmetric.Metric, _ bool, dp pmetric.NumberDataPoint) {
			if m.Name() == "process.disk.io" && attributesOf(dp) == "{direction=write}" {
				found[pid] += dp.IntValue()
			}
		})
	}
	return found
}

func (h *aHost) process(pid int64, name string, age time.Duration, written int64) *liveProcess {
	return &liveProcess{pid: pid, name: name, started: h.now + 10*second - nanos(age), io: [2]int64{0, written}, memory: 1 << 20, threads: 1}
}

func TestOldProcessesBringNoPast(t *testing.T) {
	h := newHost(t, nil)
	a, b := h.process(1, "shown", time.Hour, 1000), h.process(2, "rest", time.Hour, 5000)
	assert.Equal(t, map[int64]int64{1: 0, 0: 0}, h.left(h.scrape(a, b)))
	a.io[1], b.io[1] = 1007, 5003
	assert.Equal(t, map[int64]int64{1: 7, 0: 3}, h.left(h.scrape(a, b)))
}

func TestWhatIsBornCountsInFull(t *testing.T) {
	h := newHost(t, nil)
	b := h.process(2, "rest", time.Hour, 5000)
	h.left(h.scrape(b))
	young := h.process(3, "rest", 4*time.Second, 44)
	hog := h.process(4, "shown", 2*time.Second, 55)
	// The first sample of the one that is shown is a zero; what it used is in the remainder.
	assert.Equal(t, map[int64]int64{4: 0, 0: 99}, h.left(h.scrape(b, young, hog)))
	hog.io[1] = 60
	assert.Equal(t, map[int64]int64{4: 5, 0: 99}, h.left(h.scrape(b, young, hog)))
}

func TestWhoComesBackGoesOnWhereItWas(t *testing.T) {
	h := newHost(t, func(c *Config) {
		c.Critical = nil
		c.Top.IO = RankConfig{Seats: 1}
	})
	a, b := h.process(1, "a", time.Hour, 0), h.process(2, "b", time.Hour, 0)
	steps := []struct {
		a, b int64 // written since the scrape before
		want map[int64]int64
	}{
		{100, 10, map[int64]int64{1: 0, 0: 0}},
		{100, 10, map[int64]int64{1: 100, 0: 10}},
		{0, 50, map[int64]int64{2: 0, 0: 60}}, // b enters: its 50 are in the remainder
		{0, 50, map[int64]int64{2: 50, 0: 60}},
		{200, 50, map[int64]int64{1: 100, 0: 310}}, // a is back at 100; its 200 and b's 50 in the remainder
		{200, 50, map[int64]int64{1: 300, 0: 360}},
	}
	for i, step := range steps {
		a.io[1] += step.a
		b.io[1] += step.b
		assert.Equal(t, step.want, h.left(h.scrape(a, b)), "scrape %d", i)
	}
}

func TestAnExecIsAnotherSeriesOfTheSameProcess(t *testing.T) {
	h := newHost(t, func(c *Config) { c.Critical = []Matcher{{NameRegex: "shown|after"}} })
	p, rest := h.process(1, "shown", time.Hour, 1000), h.process(2, "rest", time.Hour, 0)
	h.left(h.scrape(p, rest))
	p.io[1] = 1100
	assert.Equal(t, map[int64]int64{1: 100, 0: 0}, h.left(h.scrape(p, rest)))
	p.name, p.io[1] = "after", 1130
	assert.Equal(t, map[int64]int64{1: 0, 0: 30}, h.left(h.scrape(p, rest)))
	p.io[1] = 1150
	assert.Equal(t, map[int64]int64{1: 20, 0: 30}, h.left(h.scrape(p, rest)))
}

func TestAPidThatComesAgainIsAnotherProcess(t *testing.T) {
	h := newHost(t, nil)
	h.left(h.scrape(h.process(2, "rest", time.Hour, 5000)))
	// Bigger than before, so that only its start tells it from the old one.
	assert.Equal(t, map[int64]int64{0: 6000}, h.left(h.scrape(h.process(2, "rest", time.Second, 6000))))
}

func TestACounterThatFallsBeganAgain(t *testing.T) {
	h := newHost(t, nil)
	a, b := h.process(1, "shown", time.Hour, 1000), h.process(2, "rest", time.Hour, 1000)
	h.left(h.scrape(a, b))
	a.io[1], b.io[1] = 1010, 1020
	assert.Equal(t, map[int64]int64{1: 10, 0: 20}, h.left(h.scrape(a, b)))
	a.io[1], b.io[1] = 3, 4
	assert.Equal(t, map[int64]int64{1: 13, 0: 24}, h.left(h.scrape(a, b)))
	a.io[1], b.io[1] = 5, 6
	assert.Equal(t, map[int64]int64{1: 15, 0: 26}, h.left(h.scrape(a, b)))
}

func TestAProcessThatWasForgottenNeverCountsTwice(t *testing.T) {
	h := newHost(t, func(c *Config) { c.StaleAfter = 30 * time.Second })
	other := h.process(2, "rest", time.Hour, 0)
	h.left(h.scrape(other))
	young := h.process(3, "rest", time.Second, 50)
	assert.Equal(t, map[int64]int64{0: 50}, h.left(h.scrape(other, young)))
	for range 8 { // unreadable for more than a minute
		h.left(h.scrape(other))
	}
	young.io[1] = 70
	assert.Equal(t, map[int64]int64{0: 50}, h.left(h.scrape(other, young)), "20 are lost, 70 would be a lie")
	young.io[1] = 75
	assert.Equal(t, map[int64]int64{0: 55}, h.left(h.scrape(other, young)))
}

func TestAScrapeThatMissesAProcessLosesNothing(t *testing.T) {
	h := newHost(t, nil)
	a, b := h.process(1, "shown", time.Hour, 0), h.process(2, "rest", time.Hour, 0)
	h.left(h.scrape(a, b))
	a.io[1], b.io[1] = 10, 20
	assert.Equal(t, map[int64]int64{0: 0}, h.left(h.scrape(h.process(3, "rest", time.Hour, 0))))
	assert.Equal(t, map[int64]int64{1: 10, 0: 20}, h.left(h.scrape(a, b)))
}

func TestTheSameScrapeTwiceLeavesTheSameTwice(t *testing.T) {
	h := newHost(t, func(c *Config) { c.Critical, c.Top.IO = nil, RankConfig{Seats: 1} })
	a, b := h.process(1, "a", time.Hour, 0), h.process(2, "b", time.Hour, 0)
	h.left(h.scrape(a, b))
	a.io[1], b.io[1] = 10, 20
	first := h.scrape(a, b)
	again := pmetric.NewMetrics()
	first.CopyTo(again)
	assert.Equal(t, map[int64]int64{2: 0, 0: 30}, h.left(first))
	assert.Equal(t, map[int64]int64{2: 0, 0: 30}, h.left(again))
	a.io[1], b.io[1] = 11, 22
	assert.Equal(t, map[int64]int64{2: 2, 0: 31}, h.left(h.scrape(a, b)))
}

func TestAnOldScrapeIsLeftOutAndCounted(t *testing.T) {
	h := newHost(t, nil)
	a := h.process(1, "shown", time.Hour, 0)
	h.left(h.scrape(a))
	a.io[1] = 10
	old := h.scrape(a)
	a.io[1] = 20
	assert.Equal(t, map[int64]int64{1: 20, 0: 0}, h.left(h.scrape(a)))
	counted := h.b.process(old)
	assert.EqualValues(t, 1, counted.late)
	assert.Empty(t, writesIn(old))
	a.io[1] = 30
	assert.Equal(t, map[int64]int64{1: 30, 0: 0}, h.left(h.scrape(a)))
}

func TestAClockThatIsSetBackDoesNotBlind(t *testing.T) {
	h := newHost(t, nil)
	a, b := h.process(1, "shown", time.Hour, 0), h.process(2, "rest", time.Hour, 0)
	h.left(h.scrape(a, b))
	h.now -= 300 * second
	a.io[1], b.io[1] = 10, 20
	assert.Equal(t, map[int64]int64{1: 10, 0: 20}, h.left(h.scrape(a, b)))
	a.io[1], b.io[1] = 11, 22
	assert.Equal(t, map[int64]int64{1: 11, 0: 22}, h.left(h.scrape(a, b)))
}

func TestPartsOfAScrapeShareOneBudget(t *testing.T) {
	h := newHost(t, func(c *Config) {
		c.ScrapeWindow = time.Second
		c.Critical = []Matcher{{NameRegex: "."}}
		c.MaxProcesses, c.MaxCritical = 3, 3
	})
	for range 3 {
		var all []*liveProcess
		for pid := range int64(8) {
			all = append(all, h.process(pid+1, "p", time.Hour, 0))
		}
		first, second := h.scrape(all[:4]...), pmetric.NewMetrics()
		for i, p := range all[4:] {
			p.report(second.ResourceMetrics().AppendEmpty(), h.now+nanos(10+i))
		}
		h.b.process(first)
		h.b.process(second)
		assert.Equal(t, 3, shownIn(first)+shownIn(second))
		assert.Equal(t, 5.0, levelsIn(second)["process.count{}"], "the second part tells the whole remainder")
	}
}

func levelsIn(md pmetric.Metrics) amounts {
	found := amounts{}
	for _, rm := range md.ResourceMetrics().All() {
		if _, named := rm.Resource().Attributes().Get("process.pid"); named {
			continue
		}
		eachPoint(rm, func(m pmetric.Metric, monotonic bool, dp pmetric.NumberDataPoint) {
			if !monotonic {
				found.add(m.Name()+attributesOf(dp), numberOf(dp))
			}
		})
	}
	return found
}

func TestTwoScrapesInOnePayloadAreTwo(t *testing.T) {
	h := newHost(t, nil)
	a, b := h.process(1, "shown", time.Hour, 0), h.process(2, "rest", time.Hour, 0)
	both := h.scrape(a, b)
	a.io[1], b.io[1] = 10, 20
	h.scrape(a, b).ResourceMetrics().MoveAndAppendTo(both.ResourceMetrics())
	assert.Equal(t, map[int64]int64{1: 0 + 10, 0: 0 + 20}, h.left(both))
	assert.Equal(t, 2, shownIn(both))
}

func TestHostsAreApart(t *testing.T) {
	h := newHost(t, nil)
	a := h.process(1, "shown", time.Hour, 0)
	md := h.scrape(a, a, a)
	for i, name := range []string{"x", "y", "x"} {
		md.ResourceMetrics().At(i).Resource().Attributes().PutStr("host.name", name)
		md.ResourceMetrics().At(i).Resource().Attributes().PutInt("process.pid", int64(i))
	}
	h.b.process(md)
	assert.Equal(t, 2, shownIn(md), "one of each host")
	assert.Len(t, h.b.hosts, 2)
}

func TestWhatIsNoProcessPasses(t *testing.T) {
	h := newHost(t, nil)
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("host.name", "web-1")
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("system.cpu.time")
	m.SetEmptySum().DataPoints().AppendEmpty().SetIntValue(7)
	before := pmetric.NewMetrics()
	md.CopyTo(before)
	h.b.process(md)
	assert.Equal(t, before, md)
}

func TestRefusedDifferencesAreToldLater(t *testing.T) {
	for _, slots := range []bool{false, true} {
		h := newHost(t, func(c *Config) {
			c.Temporality, c.Slots.Enabled = "delta", slots
			c.Critical, c.Top.IO = nil, RankConfig{Seats: 1}
		})
		a, b := h.process(1, "a", time.Hour, 0), h.process(2, "b", time.Hour, 0)
		told := int64(0)
		for i := range 40 {
			a.io[1] += int64(5 + 100*(i/3%2)) // the seat goes back and forth
			b.io[1] += 50
			md := h.scrape(a, b)
			h.b.process(md)
			if i%4 != 2 { // accepted
				h.b.delivered()
				for _, n := range writesIn(md) {
					told += n
				}
			}
		}
		md := h.scrape(a, b)
		h.b.process(md)
		for _, n := range writesIn(md) {
			told += n
		}
		assert.Equal(t, a.io[1]+b.io[1]-55, told, "slots: %v (the first scrape is the base)", slots)
	}
}

func TestTooManyProcessesAreFoldedAndCounted(t *testing.T) {
	h := newHost(t, func(c *Config) { c.MaxTracked, c.Critical = 5, []Matcher{{NameRegex: "."}} })
	var all []*liveProcess
	for pid := range int64(9) {
		all = append(all, h.process(pid+1, "p", time.Hour, 0))
	}
	counted := h.b.process(h.scrape(all...))
	assert.EqualValues(t, 4, counted.untracked)
	assert.Equal(t, 5, h.b.tracked)
	md := h.scrape(all...)
	h.b.process(md)
	assert.Equal(t, 8.0, levelsIn(md)["process.count{}"], "levels are exact all the same")
}

func TestASlotStaysWithItsService(t *testing.T) {
	h := newHost(t, func(c *Config) {
		c.Slots.Enabled, c.MaxProcesses = true, 2
		c.Critical, c.Top.IO = nil, RankConfig{Seats: 2}
	})
	slots := func(md pmetric.Metrics) string {
		h.b.process(md)
		text := ""
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					if m.Name() != "process.slot.info" {
						continue
					}
					for _, dp := range m.Gauge().DataPoints().All() {
						if dp.Flags().NoRecordedValue() {
							over, _ := dp.Attributes().Get("process.pid")
							text += fmt.Sprintf("not %d ", over.Int())
							continue
						}
						slot, _ := dp.Attributes().Get("process.slot")
						pid, _ := dp.Attributes().Get("process.pid")
						text += fmt.Sprintf("%d=%d ", slot.Int(), pid.Int())
					}
				}
			}
		}
		return text
	}
	a, b, c := h.process(1, "a", time.Hour, 1), h.process(2, "b", time.Hour, 1), h.process(3, "c", time.Hour, 0)
	step := func(x, y, z int64) { a.io[1] += x; b.io[1] += y; c.io[1] += z }
	slots(h.scrape(a, b, c))
	step(10, 10, 0)
	assert.Equal(t, "1=1 2=2 ", slots(h.scrape(a, b, c)))
	restarted := h.process(9, "b", time.Second, 40)
	step(10, 0, 0)
	assert.Equal(t, "1=1 2=9 not 2 ", slots(h.scrape(a, c, restarted)), "the same service, the same slot")
	step(0, 0, 100)
	restarted.io[1] += 50
	assert.Equal(t, "1=3 not 1 2=9 ", slots(h.scrape(a, c, restarted)), "c takes the place of a")
}

// TestTheHostsBusyTimeIsAccountedFor: what no process shows is in a category of its own, and the
// categories add up to what the host was busy; also over a restart, and after a reboot.
func TestTheHostsBusyTimeIsAccountedFor(t *testing.T) {
	for _, temporality := range []string{"cumulative", "delta"} {
		h := newHost(t, func(c *Config) { c.UnseenCategory, c.Temporality = "unseen", temporality })
		p := h.process(1, "rest", time.Hour, 0)
		host := 5000.0
		unseen := func() float64 {
			md := h.scrape(p)
			m := md.ResourceMetrics().AppendEmpty()
			m.Resource().Attributes().PutStr("host.name", "web-1")
			cpu := m.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
			cpu.SetName("system.cpu.time")
			for state, value := range map[string]float64{"user": host, "idle": 9e9, "softirq": 77} {
				addState(cpu, state, value)
			}
			h.b.process(md)
			h.b.delivered()
			for _, rm := range md.ResourceMetrics().All() {
				if category, has := rm.Resource().Attributes().Get("process.category"); has && category.Str() == "unseen" {
					return rm.ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0).DoubleValue()
				}
			}
			return -1
		}
		step := func(all, process float64) float64 {
			host += all
			p.cpu[0] += process
			return unseen()
		}
		assert.InDelta(t, 0, unseen(), 1e-9)
		first, second := step(10, 3), step(10, 10.5) // half a second early: evens out
		third := step(10, 5)
		h.b = restarted(t, h.b)
		fourth := step(10, 5)
		host = 2 // a reboot
		fifth := step(0, 0)
		sixth := step(4, 1)
		want := []float64{7, 7, 11.5, 16.5, 16.5, 19.5}
		got := []float64{first, second, third, fourth, fifth, sixth}
		if temporality == "delta" {
			for i := len(want) - 1; i > 0; i-- {
				want[i] -= want[i-1]
			}
		}
		assert.InDeltaSlice(t, want, got, 1e-9, temporality)
	}
}

func addState(m pmetric.Metric, state string, value float64) {
	if m.Type() != pmetric.MetricTypeSum {
		m.SetEmptySum().SetIsMonotonic(true)
	}
	dp := m.Sum().DataPoints().AppendEmpty()
	dp.Attributes().PutStr("state", state)
	dp.SetDoubleValue(value)
}

// TestWhatEndedLingers: a process that exits, one that loses its seat and one that execs leave their
// counters behind, unchanged, for as long as was asked and as the budget goes.
func TestWhatEndedLingers(t *testing.T) {
	h := newHost(t, func(c *Config) {
		c.Linger = 25 * time.Second
		c.MaxProcesses, c.MaxCritical, c.Critical = 3, 3, []Matcher{{NameRegex: "shown"}}
	})
	named := func(md pmetric.Metrics) map[string]int64 {
		h.b.process(md)
		found := map[string]int64{}
		for _, rm := range md.ResourceMetrics().All() {
			name, has := rm.Resource().Attributes().Get("process.executable.name")
			if !has {
				continue
			}
			eachPoint(rm, func(m pmetric.Metric, _ bool, dp pmetric.NumberDataPoint) {
				assert.LessOrEqual(t, nanos(dp.Timestamp()), h.now+second)
				if m.Name() == "process.disk.io" && attributesOf(dp) == "{direction=write}" {
					found[name.Str()] = dp.IntValue()
				}
			})
		}
		return found
	}
	a, b := h.process(1, "shown a", time.Hour, 0), h.process(2, "shown b", time.Hour, 0)
	named(h.scrape(a, b))
	a.io[1], b.io[1] = 10, 20
	assert.Equal(t, map[string]int64{"shown a": 10, "shown b": 20}, named(h.scrape(a, b)))
	b.name, b.io[1] = "shown c", 30
	assert.Equal(t, map[string]int64{"shown a": 10, "shown b": 20, "shown c": 0}, named(h.scrape(b)))
	b.io[1] = 35
	assert.Equal(t, map[string]int64{"shown a": 10, "shown b": 20, "shown c": 5}, named(h.scrape(b)))
	a.io[1] = 17 // it was only not reported
	assert.Equal(t, map[string]int64{"shown a": 17, "shown b": 20, "shown c": 5}, named(h.scrape(a, b)))
	assert.Equal(t, map[string]int64{"shown a": 17, "shown c": 5}, named(h.scrape(a, b)), "long enough")
	d, e := h.process(3, "shown d", time.Hour, 0), h.process(4, "shown e", time.Hour, 0)
	named(h.scrape(a, b, d))
	assert.Len(t, named(h.scrape(b, d, e)), 3, "no more than the budget")
}

func TestThePathOfACgroup(t *testing.T) {
	for content, want := range map[string]string{
		"0::/system.slice/nginx.service": "/system.slice/nginx.service",
		"0::/":                           "/",
		"12:cpu,cpuacct:/a\n1:name=systemd:/system.slice/b.service\n0::/": "/system.slice/b.service",
		"4:memory:/docker/ff\n3:cpu:/docker/ff":                           "/docker/ff",
		"0::/system.slice/x.service\n1:name=systemd:/other":               "/system.slice/x.service",
		"/already/a/path": "/already/a/path",
		"":                "",
	} {
		assert.Equal(t, want, cgroupPath(content), "%q", content)
	}
	assert.Equal(t, "nginx.service", unitOf("/system.slice/nginx.service"))
	assert.Equal(t, "a.scope", unitOf("/user.slice/user-0.slice/a.scope/leaf"))
	assert.Empty(t, unitOf("/user.slice"))
}

func TestAProcessWhoseMetricsWerePartedIsOne(t *testing.T) {
	h := newHost(t, func(c *Config) {
		c.ScrapeWindow = time.Second
		c.Critical, c.MaxProcesses, c.MaxCritical = []Matcher{{NameRegex: "."}}, 2, 2
	})
	var all []*liveProcess
	for pid := range int64(6) {
		all = append(all, h.process(pid+1, "p", time.Hour, 0))
	}
	parted := func() pmetric.Metrics { // for each process one resource with counters, one with levels
		md := h.scrape(append(all, all...)...)
		for i, rm := range md.ResourceMetrics().All() {
			rm.ScopeMetrics().At(0).Metrics().RemoveIf(func(m pmetric.Metric) bool {
				return m.Sum().IsMonotonic() != (i < len(all))
			})
		}
		return md
	}
	h.left(parted())
	for _, p := range all {
		p.io[1] += 10
	}
	md := parted()
	counted := h.b.process(md)
	assert.EqualValues(t, 6, counted.in)
	assert.EqualValues(t, 2, counted.kept)
	assert.Equal(t, 4, shownIn(md), "two processes, in two parts each")
	assert.Equal(t, map[int64]int64{1: 10, 2: 10, 0: 40}, writesIn(md))
	assert.Equal(t, 4.0, levelsIn(md)["process.count{}"])
	assert.Equal(t, float64(4<<20), levelsIn(md)["process.memory.usage{}"])
}

func TestADoubledResourceDoesNotGetRoundTheBudget(t *testing.T) {
	h := newHost(t, func(c *Config) {
		c.ScrapeWindow = time.Second
		c.Critical, c.MaxProcesses, c.MaxCritical = []Matcher{{NameRegex: "."}}, 2, 2
	})
	var all []*liveProcess
	for n := range int64(20) {
		all = append(all, h.process(n%5+1, "p", time.Hour, 0))
	}
	for range 3 {
		md := h.scrape(all...)
		counted := h.b.process(md)
		assert.EqualValues(t, 2, counted.kept)
		assert.Equal(t, 3.0, levelsIn(md)["process.count{}"])
	}
}

func TestADoubledProcessEntersOnce(t *testing.T) {
	h := newHost(t, func(c *Config) { c.ScrapeWindow = time.Second })
	h.left(h.scrape(h.process(1, "rest", time.Hour, 0)))
	young := h.process(2, "shown", time.Second, 50)
	assert.Equal(t, int64(50), h.left(h.scrape(young, young))[0])
}
