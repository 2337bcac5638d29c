package processbudget

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/processor/processortest"

	"phoenix.dev/otelcol-phoenix/processor/processbudget/internal/metadata"
)

// configOf reads YAML over the defaults, as a collector does.
func configOf(text []byte) (*Config, error) {
	retrieved, err := confmap.NewRetrievedFromYAML(text)
	if err != nil {
		return nil, err
	}
	conf, err := retrieved.AsConf()
	if err != nil {
		return nil, err
	}
	cfg := createDefaultConfig().(*Config)
	return cfg, conf.Unmarshal(cfg)
}

func TestDefaultsAreValid(t *testing.T) {
	require.NoError(t, confmap.Validate(createDefaultConfig()))
}

func TestEveryKeyIsRead(t *testing.T) {
	cfg, err := configOf([]byte(`
max_processes: 60
max_critical: 12
critical:
  - name: postgres
  - {path: /usr/sbin/, owner: root}
  - {cgroup_regex: ^/kubepods, command_line_regex: --leader}
categories:
  - {category: database, name_regex: ^(postgres|mysqld)$}
  - {category: services, cgroup: /system.slice/}
  - {category: ssh, unit: ssh.service, path_regex: sshd$}
other_category: rest
unseen_category: unseen
category_attribute: kind
reason_attribute: why
host_attributes: [k8s.node.name]
top:
  cpu: {share: 0.5, floor: 0.01}
  memory: {seats: 7}
  io: {share: 0}
hysteresis: {min_dwell: 1m, margin: 0.2}
hog: {cpu: 0.5, memory: 0.2, host_memory: 1024}
anomaly: {factor: 0, half_life: 10m, min_cpu: 0.1, min_memory: 1}
tiers:
  - {name: active, min_cpu: 0.01, min_memory: 52428800, keep: 1}
  - {name: runtimes, match: [{name_regex: ^python}, {name: node}], keep: 0.1}
  - {name: idle, keep: 0.05}
adaptive:
  enabled: true
  set_point: 900
  half_life: 30m
  conservative_below: 0.7
  aggressive_above: 1.3
  hysteresis: 0.05
  dwell: 3m
  conservative: 0.9
  balanced: 0.8
  aggressive: 0.7
slots: {enabled: true, attribute: slot, mapping_metric: slot.info}
temporality: delta
gauges: {process.uptime: sum, process.open: max}
storage: file_storage/budget
save_every: 1m
stale_after: 10m
max_tracked: 1000
scrape_window: 0s
`))
	require.NoError(t, err)
	require.NoError(t, confmap.Validate(cfg))
	storage := component.MustNewIDWithName("file_storage", "budget")
	assert.Equal(t, &Config{
		MaxProcesses: 60,
		MaxCritical:  12,
		Critical: []Matcher{
			{Name: "postgres"},
			{Path: "/usr/sbin/", Owner: "root"},
			{CgroupRegex: "^/kubepods", CommandLineRegex: "--leader"},
		},
		Categories: []Category{
			{Category: "database", Matcher: Matcher{NameRegex: "^(postgres|mysqld)$"}},
			{Category: "services", Matcher: Matcher{Cgroup: "/system.slice/"}},
			{Category: "ssh", Matcher: Matcher{Unit: "ssh.service", PathRegex: "sshd$"}},
		},
		OtherCategory:     "rest",
		UnseenCategory:    "unseen",
		CategoryAttribute: "kind",
		ReasonAttribute:   "why",
		HostAttributes:    []string{"k8s.node.name"}, // in place of the default two
		Top: TopConfig{
			CPU:    RankConfig{Share: 0.5, Floor: 0.01},
			Memory: RankConfig{Share: 0.4, Seats: 7},
			IO:     RankConfig{Floor: 1},
		},
		Hysteresis: HysteresisConfig{MinDwell: time.Minute, Margin: 0.2},
		Hog:        HogConfig{CPU: 0.5, Memory: 0.2, HostMemory: 1024},
		Anomaly:    AnomalyConfig{HalfLife: 10 * time.Minute, MinCPU: 0.1, MinMemory: 1},
		Tiers: []Tier{
			{Name: "active", MinCPU: 0.01, MinMemory: 50 << 20, Keep: 1},
			{Name: "runtimes", Match: []Matcher{{NameRegex: "^python"}, {Name: "node"}}, Keep: 0.1},
			{Name: "idle", Keep: 0.05},
		},
		Adaptive: AdaptiveConfig{
			Enabled: true, SetPoint: 900, HalfLife: 30 * time.Minute,
			ConservativeBelow: 0.7, AggressiveAbove: 1.3, Hysteresis: 0.05, Dwell: 3 * time.Minute,
			Conservative: 0.9, Balanced: 0.8, Aggressive: 0.7,
		},
		Slots:       SlotsConfig{Enabled: true, Attribute: "slot", MappingMetric: "slot.info"},
		Temporality: "delta",
		Gauges: map[string]string{
			"process.uptime": "sum", "process.open": "max", // beside the defaults
			"process.cpu.utilization": "sum", "process.memory.utilization": "sum",
		},
		Storage:    &storage,
		SaveEvery:  time.Minute,
		StaleAfter: 10 * time.Minute,
		MaxTracked: 1000,
	}, cfg)
}

func TestAnUnknownKeyIsRefused(t *testing.T) {
	for _, text := range []string{"max_procs: 3", "top: {gpu: {share: 1}}", "critical: [{pid: 1}]"} {
		_, err := configOf([]byte(text))
		assert.ErrorContains(t, err, "invalid keys", text)
	}
}

func TestWhatIsWrongIsNamedWithItsKeyAndItsRemedy(t *testing.T) {
	for _, each := range []struct{ yaml, says string }{
		{"max_processes: 0", "max_processes: 0 lets no process leave by name; set at least 1"},
		{"max_processes: -1", "max_processes: -1 lets no process leave by name"},
		{"max_critical: -2", "max_critical: -2 is negative; set 0"},
		{"{max_processes: 10, max_critical: 11}", "max_critical: 11 is more than the 10 of max_processes"},
		{"critical: [{}]", "critical[0]: matches nothing: set at least one of name"},
		{"critical: [{name: a}, {name_regex: '('}]", "critical[1]: name_regex: error parsing regexp"},
		{"critical: [{path_regex: '(?=x)'}]", "critical[0]: path_regex: error parsing regexp"},
		{"critical: [{cgroup_regex: '[z-a]'}]", "critical[0]: cgroup_regex: error parsing regexp"},
		{"critical: [{command_line_regex: 'a**'}]", "critical[0]: command_line_regex: error parsing regexp"},
		{"categories: [{category: a}]", "categories[0]: matches nothing"},
		{"categories: [{name: a}]", "categories[0]::category: is empty"},
		{"categories: [{category: a, name: x}, {category: a, name: y}]", `categories[1]::category: "a" is the name of categories[0] too`},
		{"categories: [{category: other, name: x}]", `categories[0]::category: "other" is what other_category names`},
		{"categories: [{category: a, name_regex: '+'}]", "categories[0]: name_regex: error parsing regexp"},
		{"other_category: ''", "other_category: is empty"},
		{"unseen_category: other", `unseen_category: "other" is what other_category names`},
		{"{unseen_category: x, categories: [{category: x, name: y}]}", `categories[0]::category: "x" is what unseen_category names`},
		{"linger: -1s", "linger: -1s is negative"},
		{"{linger: 1s, temporality: delta}", "linger: has no effect on differences"},
		{"category_attribute: ''", "category_attribute: is empty"},
		{"category_attribute: process.pid", `category_attribute: "process.pid" is what names a process`},
		{"reason_attribute: process.owner", `reason_attribute: "process.owner" is what names a process`},
		{"reason_attribute: process.category", `reason_attribute: "process.category" is the name that category_attribute has too`},
		{"category_attribute: host.name", `category_attribute: "host.name" is the name that host_attributes[0] has too`},
		{"host_attributes: [a, '']", "host_attributes[1]: is empty"},
		{"host_attributes: [a, a]", `host_attributes[1]: "a" is the name that host_attributes[0] has too`},
		{"host_attributes: [process.pid]", `host_attributes[0]: "process.pid" tells processes apart, not hosts`},
		{"top: {cpu: {share: -0.1}}", "top::cpu::share: -0.1 is no share"},
		{"top: {memory: {share: 1.5}}", "top::memory::share: 1.5 is no share"},
		{"top: {io: {share: .nan}}", "top::io::share: NaN is no share"},
		{"top: {io: {share: .inf}}", "top::io::share: +Inf is no share"},
		{"top: {cpu: {share: 0.6}, memory: {share: 0.4}, io: {share: 0.1}}", "top: the shares of cpu, memory and io add up to 1.1, more than the whole budget"},
		{"top: {cpu: {floor: -1}}", "top::cpu::floor: -1 is not possible"},
		{"top: {cpu: {floor: .nan}}", "top::cpu::floor: NaN is not possible"},
		{"top: {memory: {seats: -1}}", "top::memory::seats: -1 is negative"},
		{"hysteresis: {min_dwell: -1s}", "hysteresis::min_dwell: -1s is negative"},
		{"hysteresis: {margin: -0.1}", "hysteresis::margin: -0.1 is not possible"},
		{"hysteresis: {margin: .inf}", "hysteresis::margin: +Inf is not possible"},
		{"hog: {cpu: -1}", "hog::cpu: -1 is not possible"},
		{"hog: {memory: 2}", "hog::memory: 2 is no share"},
		{"anomaly: {factor: -1}", "anomaly::factor: -1 is not possible"},
		{"anomaly: {factor: 1}", "anomaly::factor: 1 makes every change an anomaly"},
		{"anomaly: {factor: .inf}", "anomaly::factor: +Inf is not possible"},
		{"anomaly: {half_life: 0s}", "anomaly::half_life: 0s is no time at all"},
		{"anomaly: {min_cpu: -1}", "anomaly::min_cpu: -1 is not possible"},
		{"anomaly: {min_memory: .nan}", "anomaly::min_memory: NaN is not possible"},
		{"tiers: [{keep: 1}]", "tiers[0]::name: is empty"},
		{"tiers: [{name: a, min_cpu: 1, keep: 1}, {name: a, keep: 1}]", `tiers[1]::name: "a" is the name of tiers[0] too`},
		{"tiers: [{name: a, keep: 2}]", "tiers[0]::keep: 2 is no share"},
		{"tiers: [{name: a, min_cpu: -1}]", "tiers[0]::min_cpu: -1 is not possible"},
		{"tiers: [{name: a, min_memory: .inf}]", "tiers[0]::min_memory: +Inf is not possible"},
		{"tiers: [{name: a, match: [{name: x}, {}]}]", "tiers[0]::match[1]: matches nothing"},
		{"tiers: [{name: a, keep: 1}, {name: b, keep: 1}]", "tiers[1]: is never reached, since tiers[0] takes every process"},
		{"adaptive: {enabled: true, set_point: -1}", "adaptive::set_point: -1 is negative"},
		{"adaptive: {enabled: true, half_life: 0s}", "adaptive::half_life: 0s is no time at all"},
		{"adaptive: {enabled: true, dwell: -1s}", "adaptive::dwell: -1s is negative"},
		{"adaptive: {enabled: true, hysteresis: 1}", "adaptive::hysteresis: 1 is not possible"},
		{"adaptive: {enabled: true, hysteresis: .nan}", "adaptive::hysteresis: NaN is not possible"},
		{"adaptive: {enabled: true, hysteresis: 0.5}", "adaptive::hysteresis: 0.5 leaves no room for balanced"},
		{"adaptive: {enabled: true, conservative_below: 1.25}", "adaptive::conservative_below: 1.25 is not below the 1.25 of aggressive_above"},
		{"adaptive: {enabled: true, aggressive_above: .nan}", "adaptive::aggressive_above: NaN is not possible"},
		{"adaptive: {enabled: true, aggressive: 0}", "adaptive::aggressive: 0 is no part of max_processes"},
		{"adaptive: {enabled: true, conservative: 1.2}", "adaptive::conservative: 1.2 is no part of max_processes"},
		{"adaptive: {enabled: true, balanced: 0.4}", "adaptive: the budget must not grow with the load"},
		{"slots: {enabled: true, attribute: ''}", "slots::attribute: is empty"},
		{"slots: {enabled: true, attribute: process.category}", `slots::attribute: "process.category" is the name that category_attribute has too`},
		{"slots: {enabled: true, mapping_metric: ''}", "slots::mapping_metric: is empty"},
		{"{slots: {enabled: true}, max_processes: 10001}", "max_processes: 10001 are more than the 10000 slots that are possible"},
		{"temporality: unspecified", `temporality: "unspecified" is unknown; choose cumulative or delta`},
		{"gauges: {process.uptime: mean}", `gauges::process.uptime: "mean" is unknown; choose sum or max`},
		{"gauges: {'': max}", "gauges: one has no name"},
		{"save_every: -1s", "save_every: -1s is negative"},
		{"stale_after: 0s", "stale_after: 0s is no time at all"},
		{"scrape_window: -1ms", "scrape_window: -1ms is negative"},
		{"max_tracked: 0", "max_tracked: 0 is not possible"},
		{"max_tracked: 10000001", "max_tracked: 10000001 is not possible"},
		{"max_tracked: 39", "max_tracked: 39 is less than the 40 of max_processes"},
	} {
		t.Run(each.yaml, func(t *testing.T) {
			cfg, err := configOf([]byte(each.yaml))
			require.NoError(t, err)
			assert.ErrorContains(t, confmap.Validate(cfg), each.says)
		})
	}
}

func TestEverythingThatIsWrongIsSaidAtOnce(t *testing.T) {
	cfg, err := configOf([]byte("{max_processes: 0, temporality: x, stale_after: 0s}"))
	require.NoError(t, err)
	said := confmap.Validate(cfg)
	for _, key := range []string{"max_processes: ", "temporality: ", "stale_after: "} {
		assert.ErrorContains(t, said, key)
	}
}

func TestWhatIsSwitchedOffIsNotChecked(t *testing.T) {
	for _, text := range []string{
		"adaptive: {enabled: false, set_point: -1, conservative: 7, dwell: -1s}",
		"slots: {enabled: false, attribute: '', mapping_metric: ''}",
		"anomaly: {factor: 0, half_life: 0s}",
		"adaptive: {enabled: true, set_point: 500, half_life: 0s}",
		"top: {cpu: {share: 1, seats: 5}, memory: {share: 1}, io: {share: 0}}",
		"host_attributes: []",
		"{max_processes: 5, max_critical: 5}",
	} {
		cfg, err := configOf([]byte(text))
		require.NoError(t, err)
		assert.NoError(t, confmap.Validate(cfg), text)
	}
}

func TestTooManyTiers(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	for i := range maxTiers + 1 {
		cfg.Tiers = append(cfg.Tiers, Tier{Name: time.Duration(i).String(), MinCPU: 1})
	}
	assert.ErrorContains(t, cfg.Validate(), "tiers: 65 are more than the 64 that are possible")
}

func TestTheFactoryRefusesAnotherConfiguration(t *testing.T) {
	_, err := createMetrics(t.Context(), processortest.NewNopSettings(metadata.Type), struct{}{}, consumertest.NewNop())
	require.Error(t, err)
}

// FuzzConfig: no text may make it panic, and what Validate accepts works.
func FuzzConfig(f *testing.F) {
	for _, text := range []string{
		"",
		"max_processes: 3",
		"{critical: [{name: init}, {name_regex: ^pg}], max_critical: 2}",
		"categories: [{category: a, name: worker, unit: x.service}, {category: b, cgroup: /a/, command_line_regex: -x}]",
		"{top: {cpu: {share: 0.5, seats: 2, floor: 1e9}}, hysteresis: {margin: 1e308}}",
		"adaptive: {enabled: true, set_point: 1, dwell: 0s, hysteresis: 0}",
		"{slots: {enabled: true}, temporality: delta, gauges: {process.uptime: sum}}",
		"tiers: [{name: a, min_cpu: 0.5, keep: 1}, {name: b, match: [{owner: root}], keep: 0.001}, {name: c}]",
		"{anomaly: {factor: 1.0001, half_life: 1ns, min_cpu: 0, min_memory: 0}, hog: {cpu: 0, memory: 0}}",
		"{host_attributes: [], scrape_window: 0s, stale_after: 1ns, max_tracked: 40}",
		"{unseen_category: unseen, linger: 30s}",
		"{reason_attribute: why, category_attribute: kind, storage: file_storage}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, err := configOf(text)
		if err != nil || confmap.Validate(cfg) != nil {
			return
		}
		next := new(consumertest.MetricsSink)
		p, err := newProcessor(context.Background(), processortest.NewNopSettings(metadata.Type), cfg, next)
		if err != nil {
			t.Fatalf("accepted, but: %v", err)
		}
		if cfg.Storage == nil {
			if err := p.Start(context.Background(), componenttest.NewNopHost()); err != nil {
				t.Fatalf("accepted, but does not start: %v", err)
			}
		}
		s := newSimulation(3, 3, 0.5)
		for range 3 {
			s.step()
			if err := p.ConsumeMetrics(context.Background(), s.scrape()); err != nil {
				t.Fatal(err)
			}
		}
		for _, md := range next.AllMetrics() {
			if shown := shownIn(md); shown > cfg.MaxProcesses {
				t.Fatalf("%d processes left by name, and %d may", shown, cfg.MaxProcesses)
			}
		}
		if err := p.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}
