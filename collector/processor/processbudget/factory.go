package processbudget

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"

	"phoenix.dev/otelcol-phoenix/processor/processbudget/internal/metadata"
)

// NewFactory makes the factory of the process_budget processor. It handles metrics only.
func NewFactory() processor.Factory {
	return processor.NewFactory(
		metadata.Type,
		createDefaultConfig,
		processor.WithMetrics(createMetrics, metadata.MetricsStability),
	)
}

// createDefaultConfig shows 40 processes of a host, none of them by rule, and says nothing twice: what
// the defaults are for stands in README.md.
func createDefaultConfig() component.Config {
	return &Config{
		MaxProcesses:      40,
		OtherCategory:     "other",
		CategoryAttribute: "process.category",
		HostAttributes:    []string{"host.name", "host.id"},
		Top: TopConfig{
			CPU:    RankConfig{Share: 0.4, Floor: 0.001},
			Memory: RankConfig{Share: 0.4},
			IO:     RankConfig{Share: 0.1, Floor: 1},
		},
		Hysteresis: HysteresisConfig{MinDwell: 2 * time.Minute, Margin: 0.1},
		Hog:        HogConfig{CPU: 0.05, Memory: 0.05},
		Anomaly: AnomalyConfig{
			Factor:    3,
			HalfLife:  5 * time.Minute,
			MinCPU:    0.01,
			MinMemory: 16 << 20,
		},
		Adaptive: AdaptiveConfig{
			HalfLife:          time.Hour,
			ConservativeBelow: 0.75,
			AggressiveAbove:   1.25,
			Hysteresis:        0.1,
			Dwell:             2 * time.Minute,
			Conservative:      1,
			Balanced:          0.75,
			Aggressive:        0.5,
		},
		Slots:       SlotsConfig{Attribute: "process.slot", MappingMetric: "process.slot.info"},
		Temporality: "cumulative",
		Gauges: map[string]string{
			"process.uptime":             "max",
			"process.cpu.utilization":    "sum",
			"process.memory.utilization": "sum",
		},
		StaleAfter:   5 * time.Minute,
		MaxTracked:   50_000,
		ScrapeWindow: time.Second,
	}
}

func createMetrics(
	ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics,
) (processor.Metrics, error) {
	own, ok := cfg.(*Config)
	if !ok {
		return nil, errors.New("this is not a configuration of process_budget")
	}
	return newProcessor(ctx, set, own, next)
}
