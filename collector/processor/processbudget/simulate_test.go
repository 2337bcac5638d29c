package processbudget

import (
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// A host that lives: processes are born, work, exec, restart, are missed by a scrape and die, and pids
// come again. Its scrapes look like those of the host_metrics receiver.

type liveProcess struct {
	pid     int64
	started nanos
	name    string
	cpu     [3]float64 // user, system, wait
	io      [2]int64
	memory  int64
	threads int64
	busy    float64 // cores
	writes  float64 // bytes per second
	dies    nanos
}

type simulation struct {
	rng       *rand.Rand
	now       nanos
	interval  nanos
	processes []*liveProcess
	nextPID   int64
	births    float64 // per second
	maxPID    int64   // pids come again after this
	missing   float64 // chance that a scrape misses a process
	execs     float64 // chance of an exec per process and scrape
	jobs      []string
}

const second = nanos(time.Second)

func newSimulation(seed uint64, standing int, births float64) *simulation {
	s := &simulation{
		rng: rand.New(rand.NewPCG(seed, 7)), now: 1_700_000_000 * second, interval: 10 * second,
		nextPID: 100, maxPID: 100_000, births: births, missing: 0.01, execs: 0.005,
		jobs: []string{"nginx", "postgres", "cc1", "ld", "bash", "chrome", "python3", "kworker/0:1"},
	}
	for range standing {
		s.born(s.now-nanos(s.rng.IntN(1_000_000))*second/10, 0)
	}
	return s
}

func (s *simulation) born(at nanos, life time.Duration) *liveProcess {
	taken := map[int64]bool{}
	for _, p := range s.processes {
		taken[p.pid] = true
	}
	for taken[s.nextPID] {
		s.nextPID++
	}
	p := &liveProcess{
		pid: s.nextPID, started: at, name: s.jobs[s.rng.IntN(len(s.jobs))],
		memory: 1_000_000 + s.rng.Int64N(200_000_000), threads: 1 + s.rng.Int64N(20),
	}
	if s.nextPID++; s.nextPID > s.maxPID {
		s.nextPID = 100
	}
	switch s.rng.IntN(8) {
	case 0:
		p.busy = s.rng.Float64()
	case 1, 2, 3:
		p.busy = s.rng.Float64() * 0.02
	}
	p.writes = s.rng.Float64() * 10_000
	if life > 0 {
		p.dies = at + nanos(life)
	}
	if life == 0 && at < s.now { // it has a past
		p.work(s.now - at)
	}
	s.processes = append(s.processes, p)
	return p
}

func (p *liveProcess) work(d nanos) {
	used := p.busy * float64(d) / float64(second)
	p.cpu[0] = float64(int64((p.cpu[0]+0.7*used)*100)) / 100 // the kernel counts hundredths
	p.cpu[1] += 0.3 * used
	p.io[1] += int64(p.writes * float64(d) / float64(second))
	p.io[0] += int64(p.writes / 3 * float64(d) / float64(second))
}

// step lets one interval pass.
func (s *simulation) step() {
	from := s.now
	s.now += s.interval + nanos(s.rng.IntN(20_000_000))
	n := s.births * float64(s.interval) / float64(second)
	for range int(n) + map[bool]int{true: 1}[s.rng.Float64() < n-float64(int(n))] {
		at := from + nanos(s.rng.Int64N(int64(s.now-from)))
		life := time.Duration(s.rng.ExpFloat64() * 30 * float64(time.Second))
		p := s.born(at, max(life, time.Millisecond))
		p.work(min(s.now, p.dies) - at)
	}
	alive := s.processes[:0]
	for _, p := range s.processes {
		if p.dies != 0 && p.dies <= s.now {
			continue
		}
		alive = append(alive, p)
		if p.started < from {
			p.work(s.now - from)
		}
		if s.rng.Float64() < 0.02 {
			p.busy = s.rng.Float64() * 0.5
		}
		p.memory = max(1_000_000, p.memory+s.rng.Int64N(4_000_001)-2_000_000)
		if s.rng.Float64() < s.execs {
			p.name = s.jobs[s.rng.IntN(len(s.jobs))]
		}
	}
	s.processes = alive
	if s.rng.Float64() < 0.1 && len(alive) > 0 { // a service restarts: same name, another pid
		old := alive[s.rng.IntN(len(alive))]
		old.dies = s.now
		p := s.born(s.now-second/2, 0)
		p.name, p.cpu, p.io = old.name, [3]float64{}, [2]int64{}
	}
}

// scrape is what a scraper would report now.
func (s *simulation) scrape() pmetric.Metrics {
	md := pmetric.NewMetrics()
	for i, p := range s.processes {
		if s.rng.Float64() < s.missing {
			continue
		}
		p.report(md.ResourceMetrics().AppendEmpty(), s.now+nanos(i)*20_000)
	}
	return md
}

func (p *liveProcess) report(rm pmetric.ResourceMetrics, at nanos) {
	a := rm.Resource().Attributes()
	a.PutStr("host.name", "web-1")
	a.PutInt("process.pid", p.pid)
	a.PutInt("process.parent_pid", 1)
	a.PutStr("process.executable.name", p.name)
	a.PutStr("process.executable.path", "/usr/bin/"+p.name)
	a.PutStr("process.command_line", fmt.Sprintf("%s --id %d", p.name, p.pid))
	a.PutStr("process.owner", "root")
	metrics := rm.ScopeMetrics().AppendEmpty().Metrics()
	counter := func(name, unit, key string, states ...string) pmetric.NumberDataPointSlice {
		m := metrics.AppendEmpty()
		m.SetName(name)
		m.SetUnit(unit)
		total := m.SetEmptySum()
		total.SetIsMonotonic(true)
		total.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		for _, state := range states {
			dp := total.DataPoints().AppendEmpty()
			dp.SetStartTimestamp(pcommon.Timestamp(p.started))
			dp.SetTimestamp(pcommon.Timestamp(at))
			dp.Attributes().PutStr(key, state)
		}
		return total.DataPoints()
	}
	level := func(name, unit string, value int64) {
		m := metrics.AppendEmpty()
		m.SetName(name)
		m.SetUnit(unit)
		total := m.SetEmptySum()
		total.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		dp := total.DataPoints().AppendEmpty()
		dp.SetStartTimestamp(pcommon.Timestamp(p.started))
		dp.SetTimestamp(pcommon.Timestamp(at))
		dp.SetIntValue(value)
	}
	cpu := counter("process.cpu.time", "s", "state", "user", "system", "wait")
	for i := range p.cpu {
		cpu.At(i).SetDoubleValue(p.cpu[i])
	}
	io := counter("process.disk.io", "By", "direction", "read", "write")
	for i := range p.io {
		io.At(i).SetIntValue(p.io[i])
	}
	level("process.memory.usage", "By", p.memory)
	level("process.memory.virtual", "By", 3*p.memory)
	level("process.threads", "{thread}", p.threads)
}
