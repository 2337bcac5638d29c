package processbudget

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor/processortest"

	"phoenix.dev/otelcol-phoenix/processor/processbudget/internal/metadata"
)

// BenchmarkScrapes is the processor alone, on pdata in memory: a scrape after the other of a host with
// so many processes, default metrics, half a per cent of them new in each scrape.
func BenchmarkScrapes(b *testing.B) {
	for _, processes := range []int{100, 300, 2000} {
		b.Run(fmt.Sprintf("processes=%d", processes), func(b *testing.B) {
			s := newSimulation(1, processes, 0)
			s.births, s.missing = float64(processes)/2000, 0
			const recorded = 16
			var scrapes [recorded]pmetric.Metrics
			for i := range scrapes {
				s.step()
				scrapes[i] = s.scrape()
			}
			// The recording is played again and again; each time its clock and counters go on.
			span := s.now - 1_700_000_000*second
			cfg := testConfig(func(c *Config) { c.MaxProcesses, c.MaxCritical = 40, 12 })
			p, err := newProcessor(context.Background(), processortest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
			require.NoError(b, err)
			points := 0
			copies := make([]pmetric.Metrics, recorded)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				at := i % recorded
				if at == 0 {
					b.StopTimer()
					for j := range copies {
						if i > 0 {
							forward(scrapes[j], span)
						}
						copies[j] = pmetric.NewMetrics()
						scrapes[j].CopyTo(copies[j])
					}
					b.StartTimer()
				}
				points += copies[at].DataPointCount()
				_ = p.ConsumeMetrics(context.Background(), copies[at])
			}
			b.ReportMetric(float64(points)/b.Elapsed().Seconds(), "points/s")
		})
	}
}

// forward moves a scrape in time; its counters stay, as those of idle processes do.
func forward(md pmetric.Metrics, by nanos) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if m.Type() != pmetric.MetricTypeSum {
					continue
				}
				for _, dp := range m.Sum().DataPoints().All() {
					dp.SetTimestamp(dp.Timestamp() + pcommon.Timestamp(by))
				}
			}
		}
	}
}
