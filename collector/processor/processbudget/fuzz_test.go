package processbudget

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

// FuzzPayload: no payload may make it panic, exceed the budget, or leave a series that falls.
func FuzzPayload(f *testing.F) {
	marshal := &pmetric.ProtoMarshaler{}
	s := newSimulation(9, 6, 0.5)
	for range 4 {
		s.step()
		data, err := marshal.MarshalMetrics(s.scrape())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, []byte{0, 1, 2})
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		for _, change := range []func(*Config){
			func(c *Config) { c.MaxProcesses, c.MaxCritical = 3, 2 },
			func(c *Config) { c.MaxProcesses, c.MaxCritical, c.Slots.Enabled, c.Temporality = 3, 0, true, "delta" },
		} {
			b, err := newBudgeter(testConfig(change))
			if err != nil {
				t.Fatal(err)
			}
			for _, data := range [][]byte{first, second, first} {
				md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(data)
				if err != nil {
					continue
				}
				counted := b.process(md)
				if counted.kept+counted.folded != counted.in {
					t.Fatalf("%d kept and %d folded of %d", counted.kept, counted.folded, counted.in)
				}
				for key, h := range b.hosts {
					if h.kept > b.cfg.MaxProcesses {
						t.Fatalf("%d processes leave", h.kept)
					}
					if _, err := b.decodeHost(key, b.encodeHost(h, nil)); err != nil {
						t.Fatalf("its own state: %v", err)
					}
				}
			}
		}
	})
}

// FuzzState: no saved bytes may make it panic, and what it accepts can be used and saved again.
func FuzzState(f *testing.F) {
	s := newSimulation(9, 6, 0.5)
	for _, change := range []func(*Config){nil, func(c *Config) { c.Slots.Enabled = true }} {
		b, err := newBudgeter(testConfig(change))
		if err != nil {
			f.Fatal(err)
		}
		b.process(s.scrape())
		s.step()
		b.process(s.scrape())
		for _, h := range b.hosts {
			f.Add(b.encodeHost(h, nil))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := newBudgeter(testConfig(func(c *Config) { c.Slots.Enabled = true }))
		if err != nil {
			t.Fatal(err)
		}
		b.load = func(key string) *hostState {
			h, err := b.decodeHost(key, sealed(data))
			if err != nil {
				return nil
			}
			return h
		}
		s := newSimulation(9, 6, 0.5)
		for range 3 {
			b.process(s.scrape())
			s.step()
		}
		for _, h := range b.hosts {
			b.encodeHost(h, nil)
		}
	})
}

// sealed gives bytes the right head and checksum, so that the fuzzer reaches what lies behind them.
func sealed(data []byte) []byte {
	body := append([]byte(stateMagic), stateVersion)
	if len(data) > len(body)+4 {
		body = append(body, data[len(body):len(data)-4]...)
	}
	return binary.BigEndian.AppendUint32(body, crc32.Checksum(body, castagnoli))
}
