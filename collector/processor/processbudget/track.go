package processbudget

import (
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// What is remembered of hosts and processes, and how a scrape is read into it.
//
// Increments. A counter of a process says how much it used since it started. What counts here is how
// much it rose since the scrape before:
//
//   - V(t) - V(last), also over scrapes in which the process was missing;
//   - all of V(t) at the first sample of a process that started after this host was first seen: it
//     used all of it meanwhile;
//   - nothing at the first sample of a process that is older than that;
//   - all of V(t) where a counter falls: it began again.
//
// A process is its pid and start: a pid that was seen alive at t belongs to another process only if
// that started after t. An exec keeps both, so it does not count a life twice.

// times are nanoseconds since 1970, as in OTLP.
type nanos = uint64

// hostState is what is remembered of one host.
type hostState struct {
	key      string
	values   []string // of the attributes that name it
	present  []bool
	entities map[int64]*entity
	since    nanos // first scrape; the start of its remainders
	horizon  nanos // a process that started after it and is new has never been counted

	scrape          uint64 // number of the present scrape
	first           nanos  // earliest and latest point of the present scrape
	last            nanos
	previous        nanos // latest point of the scrape before
	firstOfPrevious nanos
	open            bool // a part of the present scrape is being read
	late            bool // the present scrape is older than what is known
	again           bool // the present scrape came once before
	arrived         int  // points in the present scrape
	kept            int  // processes that left by name in the present scrape
	critical        int  // of them, critical

	level      pressure
	levelSince nanos
	usual      float64 // points of a scrape

	remainders []remainder // by category
	reported   []bool      // by definition: seen on this host
	order      []*definition
	sorted     int // how many of order are in order
	slots      []slot
	parts      []seen // processes of the present part of the scrape
	swept      nanos
	cpu        hostCPU
	ended      map[uint64]ended // by what they left as
}

// entity is one process.
type entity struct {
	pid     int64
	started nanos // as reported; 0 if it was not
	seenAt  nanos // latest point
	scrape  uint64
	part    int // its place in the parts of the scrape that is read
	id      identity
	class   class
	streams []stream

	shown      bool
	shownSince nanos
	shownAs    uint64      // hash of the attributes it was shown with
	leftWith   pcommon.Map // these attributes, if they are to linger
	seated     [ranks]bool
	slot       int // its number, from 1; 0 is none
	reason     reason
	average    [2]float64
	samples    int
}

// stream is one series of one process.
type stream struct {
	def   *definition
	at    uint64 // scrape in which value was read
	value number // as reported; for differences, their sum
	rise  number // since the scrape before
	base  number // value - what the stream that left says
	out   *output
	told  uint64 // scrape in which it last left
}

// output is a counter that leaves: for one process, or for one slot and category.
type output struct {
	value number
	start nanos
	sent  number // what a consumer of differences has
	till  nanos  // and until when
}

// seen is a process in a payload.
type seen struct {
	entity  *entity
	place   int // among the payload's resources
	source  pmetric.ResourceMetrics
	at      nanos // latest point
	use     [ranks]float64
	odd     float64
	tracked bool
	more    []another // further resources of the same process in the same scrape
}

type another struct {
	place  int
	source pmetric.ResourceMetrics
}

// remainder is what is folded of one category.
type remainder struct {
	start  nanos
	sums   []sum    // counters since start, by definition
	told   []number // what was last told of them: never goes backwards
	sent   []number
	till   nanos
	levels []sum // of the present scrape
	any    []bool
	count  int64
}

// grow makes room for definitions up to n.
func (r *remainder) grow(n int) {
	for len(r.sums) < n {
		r.sums = append(r.sums, sum{})
		r.told = append(r.told, 0)
		r.sent = append(r.sent, 0)
		r.levels = append(r.levels, sum{})
		r.any = append(r.any, false)
	}
}

// reader reads payloads; it is reused, so that reading allocates little.
type reader struct {
	dictionary  *dictionary
	classifier  *classifier
	hostKeys    []string
	hostValues  []string
	hostHas     []bool
	template    []*definition // series of the process before, in order: the next has most likely the same
	id          identity
	malformed   int64
	unsupported int64
}

// identify reads the resource: the pid, what names the process, and the host's attributes. ok is
// false for what is no process.
func (r *reader) identify(resource pcommon.Resource) (pid int64, ok bool) {
	r.id = identity{}
	for i := range r.hostValues {
		r.hostValues[i], r.hostHas[i] = "", false
	}
	for key, value := range resource.Attributes().All() {
		switch key {
		case "process.pid":
			switch value.Type() {
			case pcommon.ValueTypeInt:
				pid, ok = value.Int(), true
			case pcommon.ValueTypeStr:
				pid, ok = parsePID(value.Str())
			}
			continue
		case "process.executable.name":
			r.id.name = value.Str()
			continue
		case "process.executable.path":
			r.id.path = value.Str()
			continue
		case "process.owner":
			r.id.owner = value.Str()
			continue
		case "process.cgroup":
			r.id.cgroup = cgroupPath(value.Str())
			continue
		case "process.command_line":
			if r.classifier.readsCommandLine {
				r.id.command = value.Str()
			}
			continue
		}
		for i, wanted := range r.hostKeys {
			if key == wanted {
				r.hostValues[i], r.hostHas[i] = text(value), true
			}
		}
	}
	return pid, ok
}

func parsePID(s string) (int64, bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// firstTime is the time of the first usable point and the start it reports, or zeros.
func firstTime(rm pmetric.ResourceMetrics) (at, start nanos) {
	for _, sm := range rm.ScopeMetrics().All() {
		for _, metric := range sm.Metrics().All() {
			shape, points, ok := shapeOf(metric)
			if !ok {
				continue
			}
			for _, dp := range points.All() {
				if dp.Timestamp() == 0 {
					continue
				}
				if at == 0 {
					at = nanos(dp.Timestamp())
				}
				if dp.StartTimestamp() != 0 && shape.monotonic {
					return at, nanos(dp.StartTimestamp())
				}
			}
		}
	}
	return at, 0
}

// sameProcess says whether a pid that reports `start` is still the process e.
func (e *entity) sameProcess(start nanos) bool {
	return start == 0 || start <= e.seenAt
}

// read takes the points of one process into its streams.
//
// Use is what rose since the scrape before; for a process that is met for the first time and is older
// than that, it is the mean over its life.
func (r *reader) read(h *hostState, e *entity, rm pmetric.ResourceMetrics) seen {
	s := seen{entity: e, source: rm}
	position := 0
	whole := e.started > h.horizon && e.started != 0
	met := e.seenAt != 0 || whole
	var total [ranks]float64
	for _, sm := range rm.ScopeMetrics().All() {
		for _, metric := range sm.Metrics().All() {
			shape, points, ok := shapeOf(metric)
			if !ok {
				r.unsupported++
				continue
			}
			name := metric.Name()
			for i := range points.Len() {
				dp := points.At(i)
				h.arrived++
				value, integer, ok := valueOf(dp, shape.monotonic)
				if !ok {
					r.malformed++
					continue
				}
				at := r.stream(h, e, &shape, name, integer, dp.Attributes(), position)
				if at < 0 {
					r.unsupported++
					continue
				}
				position = at + 1
				st := &e.streams[at]
				st.take(value, h.scrape, whole, h.again)
				s.at = max(s.at, nanos(dp.Timestamp()))
				switch st.def.rank {
				case byMemory:
					s.use[byMemory] += st.def.float(value)
				case byCPU, byIO:
					s.use[st.def.rank] += st.def.float(st.rise)
					total[st.def.rank] += st.def.float(value)
				}
			}
		}
	}
	since := e.seenAt
	if since == 0 {
		since = h.previous
	}
	over := seconds(since, s.at)
	for _, each := range [...]rank{byCPU, byIO} {
		amount := s.use[each]
		if !met {
			amount, over = total[each], seconds(e.started, s.at)
		}
		if over > 0 {
			s.use[each] = amount / over
		} else {
			s.use[each] = 0
		}
	}
	r.template = r.template[:0]
	for i := range e.streams {
		r.template = append(r.template, e.streams[i].def)
	}
	return s
}

// stream is the place in e.streams of a point's series, or -1 when there are too many series.
func (r *reader) stream(h *hostState, e *entity, s *shape, name string, integer bool, attributes pcommon.Map, hint int) int {
	if hint < len(e.streams) && e.streams[hint].def.fits(s, name, integer, attributes) {
		return hint
	}
	for i := range e.streams {
		if i != hint && e.streams[i].def.fits(s, name, integer, attributes) {
			return i
		}
	}
	var def *definition
	if n := len(e.streams); n < len(r.template) && r.template[n].fits(s, name, integer, attributes) {
		def = r.template[n]
	} else if def = r.dictionary.find(s, integer, attributes); def == nil {
		return -1
	}
	h.report(def)
	if e.streams == nil {
		e.streams = make([]stream, 0, max(8, len(r.template)))
	}
	e.streams = append(e.streams, stream{def: def})
	return len(e.streams) - 1
}

// report notes that processes of this host report def.
func (h *hostState) report(def *definition) {
	for len(h.reported) <= def.index {
		h.reported = append(h.reported, false)
	}
	if !h.reported[def.index] {
		h.reported[def.index] = true
		h.order = append(h.order, def)
	}
}

// take notes a value. `whole` says that all of a first value was used while the host was watched,
// `again` that the scrape came before.
func (st *stream) take(value number, scrape uint64, whole, again bool) {
	def, first := st.def, st.at == 0
	twice := st.at == scrape
	switch {
	case def.kind != counter:
		st.value = value
	case def.delta && again:
		st.rise = 0
	case def.delta:
		// A running total takes the place of the counter; the difference counts as it is.
		if twice {
			st.rise = def.plus(st.rise, value)
		} else {
			st.rise = value
		}
		st.value = def.plus(st.value, value)
	default:
		var rise number
		switch {
		case first && whole:
			rise = value
		case first:
			rise = 0
		case def.less(value, st.value):
			rise = value
			// What left must not fall: the new count goes on from what was told.
			st.base = def.minus(value, def.plus(def.minus(st.value, st.base), rise))
		default:
			rise = def.minus(value, st.value)
		}
		if twice {
			rise = def.plus(rise, st.rise)
		}
		st.rise = rise
		st.value = value
	}
	st.at = scrape
}

// average follows the use of a process and says by which factor it departs from its past, or 0.
// The average is exponential in time: after one half-life without use, half of it is left.
func (e *entity) departs(use [ranks]float64, elapsed float64, cfg *AnomalyConfig) float64 {
	if cfg.Factor <= 0 {
		return 0
	}
	odd := 0.0
	now := [2]float64{use[byCPU], use[byMemory]}
	least := [2]float64{cfg.MinCPU, cfg.MinMemory}
	weight := 1 - math.Exp2(-elapsed/cfg.HalfLife.Seconds())
	for i := range now {
		if e.samples >= samplesOfAnAverage {
			change := math.Abs(now[i] - e.average[i])
			high, low := max(now[i], e.average[i]), min(now[i], e.average[i])
			if change >= least[i] && high > cfg.Factor*low {
				odd = max(odd, change/least[i])
			}
		}
		if e.samples == 0 {
			e.average[i] = now[i]
		} else {
			e.average[i] += weight * (now[i] - e.average[i])
		}
	}
	e.samples++
	return odd
}

// samplesOfAnAverage is how many scrapes a process must have been seen before it can surprise.
const samplesOfAnAverage = 3

func seconds(from, to nanos) float64 {
	if to <= from {
		return 0
	}
	return float64(to-from) / float64(time.Second)
}
