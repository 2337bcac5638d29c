package processbudget

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"phoenix.dev/otelcol-phoenix/processor/processbudget/internal/metadata"
)

// budgetProcessor is the component: it gives a budgeter its lock, its storage and its telemetry.
//
// One payload is handled at a time, until those after us have accepted it: counters of remainders must
// leave in order. The state is saved before the payload goes on. If we are killed in between, what was
// to leave is in the counters of the next scrape; the other order would count it twice.
type budgetProcessor struct {
	cfg       *Config
	id        component.ID
	next      consumer.Metrics
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	reasons   [reasons]metric.MeasurementOption

	mu       sync.Mutex
	budgeter *budgeter
	storage  storage.Client
	saved    map[string]nanos
	encoded  []byte
	full     bool // the last scrape folded critical processes
}

func newProcessor(_ context.Context, set processor.Settings, cfg *Config, next consumer.Metrics) (processor.Metrics, error) {
	budgeter, err := newBudgeter(cfg)
	if err != nil {
		return nil, err
	}
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	p := &budgetProcessor{
		cfg: cfg, id: set.ID, next: next, logger: set.Logger, telemetry: telemetry, budgeter: budgeter,
		saved: map[string]nanos{},
	}
	for r := range reasons {
		p.reasons[r] = metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", r.String())))
	}
	return p, nil
}

func (*budgetProcessor) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Start finds the storage and, unless it was configured, the size of this host's memory.
func (p *budgetProcessor) Start(ctx context.Context, host component.Host) error {
	if p.cfg.Hog.Memory > 0 && p.cfg.Hog.HostMemory == 0 {
		total, err := hostMemory()
		if err != nil {
			p.logger.Warn("The size of this host's memory is not known, so no process is a hog by its memory. Set hog::host_memory.", zap.Error(err))
		}
		p.budgeter.hostMemory = float64(total)
	}
	if p.cfg.Storage == nil {
		return nil
	}
	extension, found := host.GetExtensions()[*p.cfg.Storage]
	if !found {
		return fmt.Errorf("storage: there is no extension %q; define it and list it in service::extensions", p.cfg.Storage)
	}
	store, ok := extension.(storage.Extension)
	if !ok {
		return fmt.Errorf("storage: the extension %q is no storage", p.cfg.Storage)
	}
	client, err := store.GetClient(ctx, component.KindProcessor, p.id, "")
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	p.storage = client
	p.budgeter.load = func(key string) *hostState { return p.load(context.Background(), key) }
	return nil
}

// Shutdown saves what is known.
func (p *budgetProcessor) Shutdown(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.telemetry.Shutdown()
	if p.storage == nil {
		return nil
	}
	for _, h := range p.budgeter.hosts {
		p.save(ctx, h)
	}
	client := p.storage
	p.storage, p.budgeter.load = nil, nil
	return client.Close(ctx)
}

// ConsumeMetrics handles one payload.
func (p *budgetProcessor) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	began := time.Now()
	t := p.budgeter.process(md)
	if p.storage != nil {
		for _, h := range p.budgeter.opened {
			if h.last-min(h.last, p.saved[h.key]) >= nanos(p.cfg.SaveEvery) {
				p.save(ctx, h)
			}
		}
	}
	p.telemetry.ProcessorProcessBudgetBatchDuration.Record(ctx, time.Since(began).Seconds())
	p.tell(ctx, &t)
	if md.ResourceMetrics().Len() == 0 {
		return nil
	}
	err := p.next.ConsumeMetrics(ctx, md)
	if err == nil {
		p.budgeter.delivered()
	}
	return err
}

// tell publishes what was done, and warns when critical processes begin to be folded.
func (p *budgetProcessor) tell(ctx context.Context, t *tally) {
	if t.in == 0 {
		return
	}
	m := p.telemetry
	m.ProcessorProcessBudgetEntitiesIn.Add(ctx, t.in)
	m.ProcessorProcessBudgetEntitiesFolded.Add(ctx, t.folded)
	for r := isCritical; r < reasons; r++ {
		if t.reasons[r] > 0 {
			m.ProcessorProcessBudgetEntitiesKept.Add(ctx, t.reasons[r], p.reasons[r])
		}
	}
	for _, each := range []struct {
		counter metric.Int64Counter
		n       int64
	}{
		{m.ProcessorProcessBudgetBudgetExceeded, t.exceeded},
		{m.ProcessorProcessBudgetHogsHidden, t.hogsHidden},
		{m.ProcessorProcessBudgetDwellCut, t.dwellCut},
		{m.ProcessorProcessBudgetSlotChanges, t.slotChanges},
		{m.ProcessorProcessBudgetUntracked, t.untracked},
		{m.ProcessorProcessBudgetLateScrapes, t.late},
		{m.ProcessorProcessBudgetMalformedPoints, t.malformed},
		{m.ProcessorProcessBudgetUnsupportedPoints, t.unsupported},
	} {
		if each.n > 0 {
			each.counter.Add(ctx, each.n)
		}
	}
	m.ProcessorProcessBudgetTrackedProcesses.Record(ctx, int64(p.budgeter.tracked))
	m.ProcessorProcessBudgetBudget.Record(ctx, t.budget)
	if full := t.exceeded > 0; full != p.full {
		p.full = full
		if full {
			p.logger.Warn("More critical processes arrive than may leave by name; the excess is folded into remainders. Raise max_critical and max_processes, or name fewer.",
				zap.Int64("budget_exceeded", t.exceeded))
		} else {
			p.logger.Info("All critical processes leave by name again.")
		}
	}
}

func storageKey(host string) string { return "host/" + host }

func (p *budgetProcessor) save(ctx context.Context, h *hostState) {
	p.encoded = p.budgeter.encodeHost(h, p.encoded)
	if err := p.storage.Set(ctx, storageKey(h.key), p.encoded); err != nil {
		p.telemetry.ProcessorProcessBudgetStateErrors.Add(ctx, 1)
		p.logger.Warn("The state could not be saved; after a restart, counters of remainders begin again at zero.", zap.Error(err))
		return
	}
	p.saved[h.key] = h.last
	p.telemetry.ProcessorProcessBudgetStateBytes.Record(ctx, int64(len(p.encoded)))
}

func (p *budgetProcessor) load(ctx context.Context, key string) *hostState {
	data, err := p.storage.Get(ctx, storageKey(key))
	if err == nil && data == nil {
		return nil
	}
	var h *hostState
	if err == nil {
		h, err = p.budgeter.decodeHost(key, data)
	}
	if err != nil {
		p.telemetry.ProcessorProcessBudgetStateErrors.Add(ctx, 1)
		p.logger.Warn("The saved state is not used; counters of remainders begin again at zero.", zap.Error(err))
		return nil
	}
	p.saved[key] = h.last
	return h
}

// hostMemory is the size of this host's memory in bytes, from /proc/meminfo (proc(5)); HOST_PROC says
// where a host's /proc is mounted in a container, as for the host_metrics receiver.
func hostMemory() (uint64, error) {
	folder := os.Getenv("HOST_PROC")
	if folder == "" {
		folder = "/proc"
	}
	content, err := os.ReadFile(filepath.Join(folder, "meminfo"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(content)) {
		rest, found := strings.CutPrefix(line, "MemTotal:")
		if !found {
			continue
		}
		kib, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		return kib << 10, err
	}
	return 0, fmt.Errorf("%s/meminfo has no MemTotal", folder)
}
