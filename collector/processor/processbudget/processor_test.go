package processbudget

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"phoenix.dev/otelcol-phoenix/processor/processbudget/internal/metadata"
	"phoenix.dev/otelcol-phoenix/processor/processbudget/internal/metadatatest"
)

// memory is a storage extension that keeps what it is given.
type memory struct {
	component.StartFunc
	component.ShutdownFunc
	mu      sync.Mutex
	data    map[string][]byte
	failing error
}

func (m *memory) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return m, nil
}

func (m *memory) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data[key], m.failing
}

func (m *memory) Set(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failing == nil {
		m.data[key] = append([]byte(nil), value...)
	}
	return m.failing
}

func (m *memory) Delete(_ context.Context, key string) error { delete(m.data, key); return nil }
func (*memory) Batch(context.Context, ...*storage.Operation) error {
	return errors.New("not used")
}
func (*memory) Close(context.Context) error { return nil }

type hostWith struct {
	extensions map[component.ID]component.Component
}

func (h hostWith) GetExtensions() map[component.ID]component.Component { return h.extensions }

var storageID = component.MustNewID("file_storage")

// started is a processor on the storage, with its logs and what leaves it.
func started(t *testing.T, store *memory, change func(*Config)) (*budgetProcessor, *consumertest.MetricsSink, *observer.ObservedLogs, *componenttest.Telemetry) {
	t.Helper()
	cfg := testConfig(change)
	if store != nil {
		cfg.Storage = &storageID
	}
	core, logs := observer.New(zap.InfoLevel)
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	set := processortest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	set.Logger = zap.New(core)
	sink := new(consumertest.MetricsSink)
	p, err := newProcessor(context.Background(), set, cfg, sink)
	require.NoError(t, err)
	host := hostWith{extensions: map[component.ID]component.Component{}}
	if store != nil {
		host.extensions[storageID] = store
	}
	require.NoError(t, p.Start(context.Background(), host))
	return p.(*budgetProcessor), sink, logs, telemetry
}

// TestARestartLosesNothing restarts after each scrape: once in order, once by dropping the processor
// between saving and sending, as a kill would.
func TestARestartLosesNothing(t *testing.T) {
	for _, killed := range []bool{false, true} {
		store := &memory{data: map[string][]byte{}}
		s := newSimulation(5, 40, 0.5)
		in, out := arrivals{last: map[string]float64{}}, departures{last: map[string]float64{}, at: map[string]nanos{}}
		owed := amounts{}
		for scrape := range 40 {
			if scrape > 0 {
				s.step()
			}
			p, sink, _, _ := started(t, store, nil)
			md := s.scrape()
			rises, _ := in.account(md, categoryOf)
			for key, n := range rises {
				owed.add(key, n)
			}
			lost := killed && scrape%3 == 1
			require.NoError(t, p.ConsumeMetrics(context.Background(), md))
			if !lost {
				left, _ := out.account(t, sink.AllMetrics()[0])
				for key, n := range left {
					owed.add(key, -n)
				}
			}
			if !killed {
				require.NoError(t, p.Shutdown(context.Background()))
			}
		}
		for key, n := range owed {
			if killed {
				// A series of a process that entered in a scrape that never left begins too high for a
				// consumer that ignores first samples: at most what it used in one scrape.
				assert.GreaterOrEqual(t, n, -1e-6, "counted twice: %s", key)
				continue
			}
			assert.InDelta(t, 0, n, 1e-6, "%s", key)
		}
	}
}

func TestAStateThatCannotBeUsedIsIgnoredWithAWarning(t *testing.T) {
	good := &memory{data: map[string][]byte{}}
	p, _, _, _ := started(t, good, nil)
	s := newSimulation(1, 20, 0)
	require.NoError(t, p.ConsumeMetrics(context.Background(), s.scrape()))
	require.NoError(t, p.Shutdown(context.Background()))
	require.Len(t, good.data, 1)
	for key, saved := range good.data {
		flipped := append([]byte(nil), saved...)
		flipped[len(flipped)/2] ^= 1
		for name, c := range map[string]struct {
			data []byte
			why  string
		}{
			"damaged":         {flipped, "damaged"},
			"cut":             {saved[:len(saved)/2], "damaged"},
			"foreign":         {[]byte("a state of somebody else"), "not a state"},
			"empty":           {[]byte{}, "not a state"},
			"another version": {append([]byte("PXPB\xff"), saved[5:]...), "another version"},
		} {
			t.Run(name, func(t *testing.T) {
				p, sink, logs, telemetry := started(t, &memory{data: map[string][]byte{key: c.data}}, nil)
				require.NoError(t, p.ConsumeMetrics(context.Background(), s.scrape()))
				require.Len(t, sink.AllMetrics(), 1)
				warnings := logs.FilterMessageSnippet("saved state is not used").All()
				require.Len(t, warnings, 1)
				assert.Contains(t, warnings[0].ContextMap()["error"], c.why)
				metadatatest.AssertEqualProcessorProcessBudgetStateErrors(t, telemetry,
					ones(1), metricdatatest.IgnoreTimestamp())
			})
		}
	}
}

func TestAStorageThatFailsDoesNotStopTheData(t *testing.T) {
	store := &memory{data: map[string][]byte{}}
	p, sink, logs, _ := started(t, store, nil)
	store.failing = errors.New("no space left on device")
	require.NoError(t, p.ConsumeMetrics(context.Background(), newSimulation(1, 20, 0).scrape()))
	assert.Len(t, sink.AllMetrics(), 1)
	assert.NotEmpty(t, logs.FilterMessageSnippet("could not be saved").All())
}

func TestStartSaysWhatIsWrongWithTheStorage(t *testing.T) {
	cfg := testConfig(func(c *Config) { c.Storage = &storageID })
	p, err := newProcessor(context.Background(), processortest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.ErrorContains(t, p.Start(context.Background(), hostWith{}), `no extension "file_storage"`)
	other := hostWith{extensions: map[component.ID]component.Component{storageID: struct {
		component.StartFunc
		component.ShutdownFunc
	}{}}}
	require.ErrorContains(t, p.Start(context.Background(), other), "is no storage")
}

func TestItSaysWhatItDid(t *testing.T) {
	p, _, logs, telemetry := started(t, nil, func(c *Config) {
		c.MaxProcesses, c.MaxCritical = 4, 2
		c.Critical = []Matcher{{NameRegex: "^(nginx|postgres)$"}}
	})
	s := newSimulation(1, 30, 0)
	s.missing = 0
	critical := 0
	for _, each := range s.processes {
		if each.name == "nginx" || each.name == "postgres" {
			critical++
		}
	}
	require.Greater(t, critical, 4)
	require.NoError(t, p.ConsumeMetrics(context.Background(), s.scrape()))
	ignore := metricdatatest.IgnoreTimestamp()
	metadatatest.AssertEqualProcessorProcessBudgetEntitiesIn(t, telemetry, ones(30), ignore)
	metadatatest.AssertEqualProcessorProcessBudgetEntitiesFolded(t, telemetry, ones(26), ignore)
	metadatatest.AssertEqualProcessorProcessBudgetTrackedProcesses(t, telemetry, ones(30), ignore)
	metadatatest.AssertEqualProcessorProcessBudgetBudget(t, telemetry, ones(4), ignore)
	assert.Len(t, logs.FilterMessageSnippet("More critical processes arrive").All(), 1)
	s.step()
	require.NoError(t, p.ConsumeMetrics(context.Background(), s.scrape()))
	assert.Len(t, logs.FilterMessageSnippet("More critical processes arrive").All(), 1, "said once")
}

func TestAReasonIsTold(t *testing.T) {
	p, sink, _, _ := started(t, nil, func(c *Config) { c.ReasonAttribute = "process.budget.reason" })
	require.NoError(t, p.ConsumeMetrics(context.Background(), newSimulation(1, 30, 0).scrape()))
	told := map[string]int{}
	for _, rm := range sink.AllMetrics()[0].ResourceMetrics().All() {
		if reason, has := rm.Resource().Attributes().Get("process.budget.reason"); has {
			told[reason.Str()]++
		}
	}
	assert.Positive(t, told["critical"])
	assert.Positive(t, told["memory"])
}

// TestRefusedPayloadsCanComeAgain is what a receiver does whose client repeats what was refused.
func TestRefusedPayloadsCanComeAgain(t *testing.T) {
	refusing := consumertest.NewErr(errors.New("queue is full"))
	p, sink, _, _ := started(t, nil, nil)
	s := newSimulation(2, 30, 0)
	first := s.scrape()
	again := pmetric.NewMetrics()
	first.CopyTo(again)
	accepting := p.next
	p.next = refusing
	require.Error(t, p.ConsumeMetrics(context.Background(), first))
	p.next = accepting
	require.NoError(t, p.ConsumeMetrics(context.Background(), again))
	assert.Equal(t, first, sink.AllMetrics()[0])
}

func TestManyAtOnce(t *testing.T) {
	p, sink, _, _ := started(t, &memory{data: map[string][]byte{}}, nil)
	var all sync.WaitGroup
	for seed := range uint64(8) {
		all.Go(func() {
			s := newSimulation(seed, 20, 0.2)
			for range 20 {
				s.step()
				md := s.scrape()
				for _, rm := range md.ResourceMetrics().All() {
					rm.Resource().Attributes().PutInt("host.id", int64(seed))
				}
				assert.NoError(t, p.ConsumeMetrics(context.Background(), md))
			}
		})
	}
	all.Wait()
	assert.Len(t, sink.AllMetrics(), 160)
	require.NoError(t, p.Shutdown(context.Background()))
}

func ones(n int64) []metricdata.DataPoint[int64] {
	return []metricdata.DataPoint[int64]{{Value: n}}
}
