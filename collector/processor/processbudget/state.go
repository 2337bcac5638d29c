package processbudget

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// The state of a host as bytes: what must survive a restart so that no increment is lost or counted
// twice, and no process loses its place. The form is private to one version:
//
//	"PXPB", version (1 byte), body, CRC-32C of all before (4 bytes, big endian)
//
// Numbers in the body are varints, values of series 8 bytes, texts a length and bytes. Whatever does
// not read as exactly this is refused as a whole.

const (
	stateMagic   = "PXPB"
	stateVersion = 1
)

var (
	errForeign = errors.New("it is not a state of this processor, or of another version of it")
	errCorrupt = errors.New("it is damaged")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// encodeHost is the state of h.
func (b *budgeter) encodeHost(h *hostState, into []byte) []byte {
	w := writer(append(into[:0], stateMagic...))
	w = append(w, stateVersion)
	for _, n := range []uint64{
		h.since, h.horizon, h.scrape, h.first, h.last, h.previous, h.firstOfPrevious,
		uint64(h.level), h.levelSince,
	} {
		w.number(n)
	}
	w.fixed(math.Float64bits(h.usual))
	w.flags(h.cpu.started)
	for _, f := range []float64{h.cpu.latest, h.cpu.base, h.cpu.known} {
		w.fixed(math.Float64bits(f))
	}
	w.output(&h.cpu.out)
	w.number(uint64(len(h.order)))
	places := make([]int, len(b.dictionary.all))
	for i, def := range h.order {
		places[def.index] = i
		w.definition(def)
	}
	w.number(uint64(len(h.remainders)))
	for c := range h.remainders {
		r := &h.remainders[c]
		r.grow(len(b.dictionary.all))
		w.text(b.classifier.names[c])
		w.number(r.start)
		w.number(r.till)
		for _, def := range h.order {
			s := r.sums[def.index]
			w.fixed(uint64(s.value))
			w.fixed(math.Float64bits(s.low))
			w.fixed(uint64(r.told[def.index]))
			w.fixed(uint64(r.sent[def.index]))
		}
	}
	w.number(uint64(len(h.slots)))
	for i := range h.slots {
		w.slot(b, &h.slots[i], places)
	}
	w.number(uint64(len(h.entities)))
	for _, e := range h.entities {
		w.entity(e, places)
	}
	return binary.BigEndian.AppendUint32(w, crc32.Checksum(w, castagnoli))
}

// decodeHost reads what encodeHost wrote. What the present configuration no longer has is left out.
//
// Errors: errForeign, errCorrupt.
func (b *budgeter) decodeHost(key string, data []byte) (*hostState, error) {
	if len(data) < len(stateMagic)+1+4 || string(data[:len(stateMagic)]) != stateMagic || data[len(stateMagic)] != stateVersion {
		return nil, errForeign
	}
	body, check := data[:len(data)-4], data[len(data)-4:]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(check) {
		return nil, errCorrupt
	}
	r := &stateReader{rest: body[len(stateMagic)+1:]}
	h := &hostState{key: key, entities: map[int64]*entity{}}
	var level uint64
	for _, into := range []*uint64{
		&h.since, &h.horizon, &h.scrape, &h.first, &h.last, &h.previous, &h.firstOfPrevious, &level, &h.levelSince,
	} {
		*into = r.number()
	}
	h.level, h.swept = pressure(min(level, uint64(aggressive))), h.last
	if h.usual = math.Float64frombits(r.fixed()); !(h.usual >= 0) || math.IsInf(h.usual, 1) {
		h.usual = 0
	}
	h.cpu.started = r.number()&1 != 0
	for _, into := range []*float64{&h.cpu.latest, &h.cpu.base, &h.cpu.known} {
		*into = math.Float64frombits(r.fixed())
	}
	h.cpu.out = *r.output()
	definitions := make([]*definition, r.count(6))
	for i := range definitions {
		definitions[i] = r.definition(b.dictionary)
		if definitions[i] != nil {
			h.report(definitions[i])
		}
	}
	categories := map[string]int{}
	for i, name := range b.classifier.names {
		categories[name] = i
		h.remainders = append(h.remainders, remainder{start: h.last})
		h.remainders[i].grow(len(b.dictionary.all))
	}
	for range r.count(3) {
		r.remainder(h, categories, definitions)
	}
	holders := map[int64]int{}
	for i := range r.count(4) {
		s, holder := r.slot(categories, definitions)
		h.slots = append(h.slots, s)
		if holder >= 0 {
			holders[holder] = i
		}
	}
	for range r.count(8) {
		r.entity(b, h, definitions, holders)
	}
	if r.failed || len(r.rest) != 0 {
		return nil, errCorrupt
	}
	return h, nil
}

type writer []byte

func (w *writer) number(n uint64) { *w = binary.AppendUvarint(*w, n) }
func (w *writer) fixed(n uint64)  { *w = binary.LittleEndian.AppendUint64(*w, n) }
func (w *writer) text(s string) {
	w.number(uint64(len(s)))
	*w = append(*w, s...)
}

func (w *writer) flags(set ...bool) {
	var n uint64
	for i, each := range set {
		if each {
			n |= 1 << i
		}
	}
	w.number(n)
}

func (w *writer) definition(d *definition) {
	w.text(d.name)
	w.text(d.unit)
	w.text(d.about)
	w.flags(d.integer, d.gauge, d.delta, d.kind == counter)
	w.number(uint64(len(d.attributes)))
	for i := range d.attributes {
		w.text(d.attributes[i].key)
		w.number(uint64(d.attributes[i].value.Type()))
		w.text(d.attributes[i].text)
	}
}

func (w *writer) identity(id *identity) {
	for _, s := range []string{id.name, id.path, id.owner, id.cgroup, id.command} {
		w.text(s)
	}
}

func (w *writer) output(out *output) {
	w.fixed(uint64(out.value))
	w.fixed(uint64(out.sent))
	w.number(out.start)
	w.number(out.till)
}

func (w *writer) slot(b *budgeter, s *slot, places []int) {
	w.flags(s.holder != nil)
	if s.holder != nil {
		w.number(uint64(s.holder.pid))
	}
	w.identity(&s.service)
	w.text(b.classifier.names[min(s.category, len(b.classifier.names)-1)])
	w.number(s.freed)
	w.number(uint64(len(s.outputs)))
	for i := range s.outputs {
		w.text(b.classifier.names[s.outputs[i].category])
		used := 0
		for _, out := range s.outputs[i].outputs {
			if out != nil {
				used++
			}
		}
		w.number(uint64(used))
		for index, out := range s.outputs[i].outputs {
			if out != nil {
				w.number(uint64(places[index]))
				w.output(out)
			}
		}
	}
}

func (w *writer) entity(e *entity, places []int) {
	w.number(uint64(e.pid))
	for _, n := range []uint64{e.started, e.seenAt, e.scrape, e.shownSince, e.shownAs, uint64(e.slot), uint64(e.samples)} {
		w.number(n)
	}
	w.flags(e.shown, e.seated[byCPU], e.seated[byMemory], e.seated[byIO])
	w.number(uint64(e.reason))
	w.fixed(math.Float64bits(e.average[0]))
	w.fixed(math.Float64bits(e.average[1]))
	w.identity(&e.id)
	w.number(uint64(len(e.streams)))
	for i := range e.streams {
		st := &e.streams[i]
		w.number(uint64(places[st.def.index]))
		w.number(st.at)
		w.fixed(uint64(st.value))
		w.fixed(uint64(st.base))
		own := st.out != nil && e.slot == 0
		w.flags(st.out != nil, own)
		if own {
			w.output(st.out)
		}
	}
}

// stateReader reads a body; after the first fault it answers zeros and remembers that it failed.
type stateReader struct {
	rest   []byte
	failed bool
}

func (r *stateReader) fail() { r.failed, r.rest = true, nil }

func (r *stateReader) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// count is a number of things that take at least `least` bytes each.
func (r *stateReader) count(least int) int {
	n := r.number()
	if n > uint64(len(r.rest)/least) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *stateReader) fixed() uint64 {
	if len(r.rest) < 8 {
		r.fail()
		return 0
	}
	n := binary.LittleEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return n
}

func (r *stateReader) text() string {
	n := r.count(1)
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

func (r *stateReader) definition(d *dictionary) *definition {
	made := definition{name: r.text(), unit: r.text(), about: r.text()}
	flags := r.number()
	made.integer, made.gauge, made.delta = flags&1 != 0, flags&2 != 0, flags&4 != 0
	for range r.count(3) {
		a := pointAttribute{key: r.text(), value: pcommon.NewValueEmpty()}
		kind := pcommon.ValueType(r.number())
		a.text = r.text()
		var err error
		switch kind {
		case pcommon.ValueTypeStr:
			a.value.SetStr(a.text)
		case pcommon.ValueTypeInt:
			var n int64
			n, err = strconv.ParseInt(a.text, 10, 64)
			a.value.SetInt(n)
		case pcommon.ValueTypeBool:
			a.value.SetBool(a.text == "true")
		case pcommon.ValueTypeDouble:
			var f float64
			f, err = strconv.ParseFloat(a.text, 64)
			a.value.SetDouble(f)
		case pcommon.ValueTypeEmpty:
		default:
			err = fmt.Errorf("attributes of type %v are not restored", kind)
		}
		if err != nil {
			made.name = ""
		}
		made.attributes = append(made.attributes, a)
	}
	if r.failed || made.name == "" {
		return nil
	}
	return d.add(made, flags&8 != 0)
}

func (r *stateReader) identity() identity {
	return identity{name: r.text(), path: r.text(), owner: r.text(), cgroup: r.text(), command: r.text()}
}

func (r *stateReader) output() *output {
	return &output{value: number(r.fixed()), sent: number(r.fixed()), start: r.number(), till: r.number()}
}

func (r *stateReader) remainder(h *hostState, categories map[string]int, definitions []*definition) {
	at, known := categories[r.text()]
	start, till := r.number(), r.number()
	var into remainder
	if known {
		h.remainders[at].start, h.remainders[at].till = start, till
		into = h.remainders[at]
	}
	for _, def := range definitions {
		value, low, told, sent := r.fixed(), r.fixed(), r.fixed(), r.fixed()
		if known && def != nil {
			into.sums[def.index] = sum{value: number(value), low: math.Float64frombits(low)}
			into.told[def.index], into.sent[def.index] = number(told), number(sent)
		}
	}
}

func (r *stateReader) slot(categories map[string]int, definitions []*definition) (slot, int64) {
	holder := int64(-1)
	if r.number()&1 != 0 {
		holder = int64(r.number())
	}
	s := slot{service: r.identity()}
	s.category = categories[r.text()]
	s.freed = r.number()
	for range r.count(2) {
		category, known := categories[r.text()]
		o := slotOutputs{category: category}
		for range r.count(19) {
			place := r.number()
			out := r.output()
			if place >= uint64(len(definitions)) {
				r.fail()
				break
			}
			if def := definitions[place]; def != nil {
				o.of(def.index)
				o.outputs[def.index] = out
			}
		}
		if known {
			s.outputs = append(s.outputs, o)
		}
	}
	return s, holder
}

func (r *stateReader) entity(b *budgeter, h *hostState, definitions []*definition, holders map[int64]int) {
	e := &entity{pid: int64(r.number())}
	var slotNumber, samples uint64
	for _, into := range []*uint64{&e.started, &e.seenAt, &e.scrape, &e.shownSince, &e.shownAs, &slotNumber, &samples} {
		*into = r.number()
	}
	e.samples = int(min(samples, samplesOfAnAverage))
	flags := r.number()
	e.shown = flags&1 != 0
	e.seated = [ranks]bool{flags&2 != 0, flags&4 != 0, flags&8 != 0}
	e.reason = reason(min(r.number(), uint64(reasons-1)))
	e.average = [2]float64{math.Float64frombits(r.fixed()), math.Float64frombits(r.fixed())}
	e.id = r.identity()
	e.class = b.classifier.classify(&e.id)
	var slots *slotOutputs
	if at, holds := holders[e.pid]; holds && uint64(at)+1 == slotNumber && b.cfg.Slots.Enabled {
		e.slot = at + 1
		h.slots[at].holder = e
		slots = h.slots[at].outputsOf(e.class.category)
	}
	for range r.count(19) {
		place := r.number()
		st := stream{at: r.number(), value: number(r.fixed()), base: number(r.fixed())}
		has := r.number()
		if has&2 != 0 {
			st.out = r.output()
		}
		if place >= uint64(len(definitions)) {
			r.fail()
			return
		}
		if st.def = definitions[place]; st.def == nil {
			continue
		}
		if has&1 != 0 && has&2 == 0 && slots != nil {
			st.out = slots.of(st.def.index)
		}
		e.streams = append(e.streams, st)
	}
	h.entities[e.pid] = e
}
