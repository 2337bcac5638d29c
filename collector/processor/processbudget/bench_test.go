//go:build benchmark

package processbudget

import (
	"context"
	"fmt"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/filterprocessor"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
)

// The processor alone, on pdata in memory, and the stock filter on the same scrapes: one after the
// other of a host with so many processes, half a per cent of them new in each. The recorded scrapes
// are played again and again, each time later; only then do their counters fall, which is once in 16.
//
//	go test -tags benchmark -run xxx -bench . -cpu 1 ./processor/processbudget
//
// It has a tag of its own because the stock filter brings half of the collector with it.
func BenchmarkScrapes(b *testing.B) {
	budget := NewFactory()
	budgetConfig := testConfig(func(c *Config) { c.MaxProcesses, c.MaxCritical = 40, 12 })
	filter := filterprocessor.NewFactory()
	filterConfig := filter.CreateDefaultConfig()
	require.NoError(b, confmap.NewFromStringMap(map[string]any{
		"error_mode": "propagate",
		"metric_conditions": []any{
			`resource.attributes["process.pid"] != nil and not IsMatch(resource.attributes["process.executable.name"], "^(nginx)$")`,
		},
	}).Unmarshal(filterConfig))
	for _, processes := range []int{100, 300, 2000} {
		for _, each := range []struct {
			name    string
			factory processor.Factory
			config  component.Config
		}{{"process_budget", budget, budgetConfig}, {"filter", filter, filterConfig}} {
			b.Run(fmt.Sprintf("%s/processes=%d", each.name, processes), func(b *testing.B) {
				set := processortest.NewNopSettings(each.factory.Type())
				p, err := each.factory.CreateMetrics(context.Background(), set, each.config, consumertest.NewNop())
				require.NoError(b, err)
				require.NoError(b, p.Start(context.Background(), componenttest.NewNopHost()))
				play(b, p, processes)
				require.NoError(b, p.Shutdown(context.Background()))
			})
		}
	}
}

func play(b *testing.B, p processor.Metrics, processes int) {
	s := newSimulation(1, processes, 0)
	s.births, s.missing = float64(processes)/2000, 0
	const recorded = 16
	var scrapes, copies [recorded]pmetric.Metrics
	began := s.now
	for i := range scrapes {
		s.step()
		scrapes[i] = s.scrape()
	}
	span := s.now - began
	points := 0
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
