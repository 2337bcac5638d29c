package processbudget

import (
	"time"

	"go.opentelemetry.io/collector/component"
)

// Config says how many processes of a host leave by name, which ones, and what becomes of the rest.
type Config struct {
	// MaxProcesses is the largest number of process entities that leave for a host and scrape.
	MaxProcesses int `mapstructure:"max_processes"`
	// MaxCritical is the part of MaxProcesses that critical processes may take; 0 means three quarters
	// of the budget, so that a list that matches too much does not hide what uses most.
	MaxCritical int `mapstructure:"max_critical"`
	// Critical says which processes go before all others: those that match any entry.
	Critical []Matcher `mapstructure:"critical"`

	// Categories sort processes into remainders; the first entry that matches wins.
	Categories []Category `mapstructure:"categories"`
	// OtherCategory is the category of a process that matches none.
	OtherCategory string `mapstructure:"other_category"`
	// UnseenCategory, if not empty, is the category of CPU time that the host was busy and no process
	// accounts for. It needs the cpu scraper beside the process scraper.
	UnseenCategory string `mapstructure:"unseen_category"`
	// CategoryAttribute is the resource attribute that tells the category, of remainders and of kept
	// processes alike.
	CategoryAttribute string `mapstructure:"category_attribute"`
	// ReasonAttribute, if not empty, is the resource attribute that tells why a process was kept. It is
	// part of the process's name like every attribute: a process that is kept for another reason begins
	// new series.
	ReasonAttribute string `mapstructure:"reason_attribute"`
	// HostAttributes are the resource attributes that together name a host.
	HostAttributes []string `mapstructure:"host_attributes"`

	// Top shares out what critical processes leave of the budget. What no share claims is the reserve:
	// for hogs without a seat, for processes within their minimum dwell, and for anomalies.
	Top TopConfig `mapstructure:"top"`
	// Hysteresis keeps the choice from changing without need.
	Hysteresis HysteresisConfig `mapstructure:"hysteresis"`
	// Hog says from which use on a process must not be hidden while the budget has room.
	Hog HogConfig `mapstructure:"hog"`
	// Anomaly lets through processes whose use departs from their own moving average.
	Anomaly AnomalyConfig `mapstructure:"anomaly"`
	// Tiers limit which part of a kind of process may leave by name.
	Tiers []Tier `mapstructure:"tiers"`
	// Adaptive makes the budget smaller when the host has more processes than its set point.
	Adaptive AdaptiveConfig `mapstructure:"adaptive"`
	// Slots names kept processes by a number instead of by themselves.
	Slots SlotsConfig `mapstructure:"slots"`

	// Temporality of the counters that leave: "cumulative" or "delta".
	Temporality string `mapstructure:"temporality"`
	// Linger is how long counters of a process that no longer leaves are repeated unchanged, so that
	// engines which extrapolate add nothing at their end; 0 is not at all. They count as processes that
	// leave by name. Only for cumulative temporality.
	Linger time.Duration `mapstructure:"linger"`
	// Gauges says how the gauges of folded processes become one: "sum" or "max". Gauges that are not
	// listed are left out of remainders.
	Gauges map[string]string `mapstructure:"gauges"`

	// Storage is the storage extension that keeps the state over restarts.
	Storage *component.ID `mapstructure:"storage"`
	// SaveEvery is the least time between two saves; 0 saves after every scrape.
	SaveEvery time.Duration `mapstructure:"save_every"`
	// StaleAfter is how long a process that is no longer reported is remembered.
	StaleAfter time.Duration `mapstructure:"stale_after"`
	// MaxTracked is the largest number of processes remembered, over all hosts.
	MaxTracked int `mapstructure:"max_tracked"`
	// ScrapeWindow joins payloads of one host that begin within it into one scrape, as long as no
	// process comes twice.
	ScrapeWindow time.Duration `mapstructure:"scrape_window"`

	_ struct{}
}

// Matcher matches a process; every field that is set must hold. Patterns are RE2 and not anchored.
type Matcher struct {
	// Name is the executable's name, exactly.
	Name string `mapstructure:"name"`
	// NameRegex is searched in the executable's name.
	NameRegex string `mapstructure:"name_regex"`
	// Path is the executable's path, exactly; with a slash at its end, everything below it.
	Path string `mapstructure:"path"`
	// PathRegex is searched in the executable's path.
	PathRegex string `mapstructure:"path_regex"`
	// Owner is the user, exactly.
	Owner string `mapstructure:"owner"`
	// Cgroup is process.cgroup, exactly; with a slash at its end, everything below it.
	Cgroup string `mapstructure:"cgroup"`
	// CgroupRegex is searched in process.cgroup.
	CgroupRegex string `mapstructure:"cgroup_regex"`
	// Unit is the systemd unit, the last element of the cgroup's path that is one, exactly.
	Unit string `mapstructure:"unit"`
	// CommandLineRegex is searched in process.command_line.
	CommandLineRegex string `mapstructure:"command_line_regex"`

	_ struct{}
}

// Category is a remainder's name and what belongs to it.
type Category struct {
	// Category is the name.
	Category string `mapstructure:"category"`
	Matcher  `mapstructure:",squash"`
}

// TopConfig holds one share each for the three things processes are ranked by.
type TopConfig struct {
	CPU    RankConfig `mapstructure:"cpu"`
	Memory RankConfig `mapstructure:"memory"`
	IO     RankConfig `mapstructure:"io"`

	_ struct{}
}

// RankConfig is a part of the budget and the use below which nobody gets a seat.
type RankConfig struct {
	// Share of the budget that is left after critical processes, 0 to 1.
	Share float64 `mapstructure:"share"`
	// Seats, if not 0, is that part as a number instead.
	Seats int `mapstructure:"seats"`
	// Floor is the least use that earns a seat: cores, bytes, or bytes per second.
	Floor float64 `mapstructure:"floor"`

	_ struct{}
}

// HysteresisConfig keeps the choice from changing without need.
type HysteresisConfig struct {
	// MinDwell is how long a process stays once it is shown, while the reserve has room.
	MinDwell time.Duration `mapstructure:"min_dwell"`
	// Margin is the part by which a process must beat one that has a seat.
	Margin float64 `mapstructure:"margin"`

	_ struct{}
}

// HogConfig says what a hog is; 0 switches a part off.
type HogConfig struct {
	// CPU in cores.
	CPU float64 `mapstructure:"cpu"`
	// Memory as a share of the host's memory.
	Memory float64 `mapstructure:"memory"`
	// HostMemory is the host's memory in bytes; 0 reads that of the collector's own host.
	HostMemory uint64 `mapstructure:"host_memory"`

	_ struct{}
}

// AnomalyConfig says which departure from a process's own moving average lets it through.
type AnomalyConfig struct {
	// Factor above (or below one over which) use is an anomaly; 0 switches it off.
	Factor float64 `mapstructure:"factor"`
	// HalfLife of the moving average.
	HalfLife time.Duration `mapstructure:"half_life"`
	// MinCPU in cores and MinMemory in bytes: the least change that counts.
	MinCPU    float64 `mapstructure:"min_cpu"`
	MinMemory float64 `mapstructure:"min_memory"`

	_ struct{}
}

// Tier limits which part of its members leaves by name. A process belongs to the first tier that
// fits; critical processes and hogs are never limited.
type Tier struct {
	// Name of the tier.
	Name string `mapstructure:"name"`
	// Match: any of these; empty fits every process.
	Match []Matcher `mapstructure:"match"`
	// MinCPU in cores or MinMemory in bytes must be reached, if either is set.
	MinCPU    float64 `mapstructure:"min_cpu"`
	MinMemory float64 `mapstructure:"min_memory"`
	// Keep is the largest share of the tier's members that leaves by name, 0 to 1, rounded up.
	Keep float64 `mapstructure:"keep"`

	_ struct{}
}

// AdaptiveConfig varies the budget with load, relative to a set point.
type AdaptiveConfig struct {
	Enabled bool `mapstructure:"enabled"`
	// SetPoint is the number of series (points of a scrape) that arrives from the host in its usual
	// state; 0 learns it, as a moving average.
	SetPoint int `mapstructure:"set_point"`
	// HalfLife of that average.
	HalfLife time.Duration `mapstructure:"half_life"`
	// ConservativeBelow and AggressiveAbove are parts of the set point.
	ConservativeBelow float64 `mapstructure:"conservative_below"`
	AggressiveAbove   float64 `mapstructure:"aggressive_above"`
	// Hysteresis is the part of a threshold that must be crossed back to leave a level.
	Hysteresis float64 `mapstructure:"hysteresis"`
	// Dwell is the least time in a level.
	Dwell time.Duration `mapstructure:"dwell"`
	// Conservative, Balanced and Aggressive are the parts of MaxProcesses in each level.
	Conservative float64 `mapstructure:"conservative"`
	Balanced     float64 `mapstructure:"balanced"`
	Aggressive   float64 `mapstructure:"aggressive"`

	_ struct{}
}

// SlotsConfig names kept processes by a number, so that a changing choice makes no new series.
type SlotsConfig struct {
	Enabled bool `mapstructure:"enabled"`
	// Attribute is the resource attribute with the slot's number, from 1.
	Attribute string `mapstructure:"attribute"`
	// MappingMetric is the metric that tells which process has which slot.
	MappingMetric string `mapstructure:"mapping_metric"`

	_ struct{}
}
