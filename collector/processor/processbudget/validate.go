package processbudget

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/confmap"
)

var _ confmap.Validator = (*Config)(nil)

// mostTracked bounds max_tracked: a process that is remembered takes about a kilobyte.
const mostTracked = 10_000_000

// mostSlots bounds max_processes where slots are used: a free one is looked for among all.
const mostSlots = 10_000

// Validate says everything that is wrong at once. Each line names the key, what it says and what to do.
// A configuration that it accepts is one that newProcessor accepts.
func (cfg *Config) Validate() error {
	var c complaints
	cfg.checkBudget(&c)
	cfg.checkNames(&c)
	cfg.checkRules(&c)
	cfg.checkTop(&c)
	cfg.checkSpecials(&c)
	cfg.checkTiers(&c)
	cfg.Adaptive.check(&c)
	cfg.checkOutput(&c)
	cfg.checkMemory(&c)
	return errors.Join(c...)
}

// complaints collects what is wrong.
type complaints []error

func (c *complaints) add(key, format string, args ...any) {
	*c = append(*c, fmt.Errorf(key+": "+format, args...))
}

// atLeast wants a finite number that is not below least.
func (c *complaints) atLeast(key string, value, least float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) || value < least {
		c.add(key, "%v is not possible; give a number of at least %v", value, least)
	}
}

// share wants a part of a whole.
func (c *complaints) share(key string, value float64) {
	if !(value >= 0 && value <= 1) {
		c.add(key, "%v is no share; give a number from 0 to 1", value)
	}
}

func (c *complaints) notNegative(key string, value time.Duration) {
	if value < 0 {
		c.add(key, "%v is negative; give a duration such as 2m, or 0s", value)
	}
}

func (c *complaints) positive(key string, value time.Duration) {
	if value <= 0 {
		c.add(key, "%v is no time at all; give a duration such as 5m", value)
	}
}

func (cfg *Config) checkBudget(c *complaints) {
	if cfg.MaxProcesses < 1 {
		c.add("max_processes", "%d lets no process leave by name; set at least 1", cfg.MaxProcesses)
	}
	switch {
	case cfg.MaxCritical < 0:
		c.add("max_critical", "%d is negative; set 0 for three quarters of max_processes", cfg.MaxCritical)
	case cfg.MaxCritical > max(cfg.MaxProcesses, 0):
		c.add("max_critical", "%d is more than the %d of max_processes; raise max_processes, or lower max_critical", cfg.MaxCritical, cfg.MaxProcesses)
	}
}

// checkNames looks at the attributes that are written: each must have a name, and one of its own.
func (cfg *Config) checkNames(c *complaints) {
	switch {
	case cfg.OtherCategory == "":
		c.add("other_category", "is empty; name the remainder of processes that match no category, such as other")
	case cfg.OtherCategory == cfg.UnseenCategory:
		c.add("unseen_category", "%q is what other_category names; give one of them another name", cfg.UnseenCategory)
	}
	taken := map[string]string{}
	take := func(key, name string) {
		if before, has := taken[name]; has {
			c.add(key, "%q is the name that %s has too; give each its own", name, before)
		}
		taken[name] = key
	}
	for i, name := range cfg.HostAttributes {
		key := fmt.Sprintf("host_attributes[%d]", i)
		switch {
		case name == "":
			c.add(key, "is empty; name a resource attribute that tells hosts apart, such as host.name")
		case isIdentity(name):
			c.add(key, "%q tells processes apart, not hosts; name attributes such as host.name", name)
		default:
			take(key, name)
		}
	}
	written := []struct {
		key, name string
		needed    bool
	}{
		{"category_attribute", cfg.CategoryAttribute, true},
		{"reason_attribute", cfg.ReasonAttribute, false},
		{"slots::attribute", cfg.Slots.Attribute, cfg.Slots.Enabled},
	}
	for _, each := range written {
		switch {
		case each.name == "" && !each.needed:
		case each.name == "":
			c.add(each.key, "is empty; name the resource attribute to write")
		case isIdentity(each.name):
			c.add(each.key, "%q is what names a process, and would be overwritten; choose another name", each.name)
		default:
			take(each.key, each.name)
		}
	}
	if cfg.Slots.Enabled && cfg.Slots.MappingMetric == "" {
		c.add("slots::mapping_metric", "is empty; name the metric that tells who has which slot")
	}
	if cfg.Slots.Enabled && cfg.MaxProcesses > mostSlots {
		c.add("max_processes", "%d are more than the %d slots that are possible; lower it, or switch slots off", cfg.MaxProcesses, mostSlots)
	}
}

// isIdentity is whether an attribute is one that a process is told apart by.
func isIdentity(name string) bool {
	switch name {
	case "process.pid", "process.parent_pid", "process.owner", "process.command", "process.command_line",
		"process.cgroup", "process.executable.name", "process.executable.path":
		return true
	}
	return false
}

func (cfg *Config) checkRules(c *complaints) {
	for i, m := range cfg.Critical {
		c.matcher(fmt.Sprintf("critical[%d]", i), m)
	}
	first := map[string]int{}
	for i, each := range cfg.Categories {
		key := fmt.Sprintf("categories[%d]", i)
		c.matcher(key, each.Matcher)
		before, has := first[each.Category]
		switch {
		case each.Category == "":
			c.add(key+"::category", "is empty; name the remainder")
		case has:
			c.add(key+"::category", "%q is the name of categories[%d] too; make one of the two, for example with one name_regex", each.Category, before)
		case each.Category == cfg.OtherCategory:
			c.add(key+"::category", "%q is what other_category names; give one of them another name", each.Category)
		case each.Category == cfg.UnseenCategory:
			c.add(key+"::category", "%q is what unseen_category names, and no process belongs there; give one of them another name", each.Category)
		default:
			first[each.Category] = i
		}
	}
}

func (c *complaints) matcher(key string, m Matcher) {
	if _, err := compileMatcher(m); err != nil {
		c.add(key, "%w", err)
	}
}

func (cfg *Config) checkTop(c *complaints) {
	total := 0.0
	for _, each := range []struct {
		key  string
		rank RankConfig
	}{{"top::cpu", cfg.Top.CPU}, {"top::memory", cfg.Top.Memory}, {"top::io", cfg.Top.IO}} {
		c.share(each.key+"::share", each.rank.Share)
		c.atLeast(each.key+"::floor", each.rank.Floor, 0)
		if each.rank.Seats < 0 {
			c.add(each.key+"::seats", "%d is negative; set 0 to use the share instead", each.rank.Seats)
		}
		if each.rank.Seats == 0 {
			total += each.rank.Share
		}
	}
	if total > 1+1e-9 {
		c.add("top", "the shares of cpu, memory and io add up to %.4g, more than the whole budget; what they leave below 1 is the reserve for hogs, minimum dwell and anomalies", total)
	}
	c.notNegative("hysteresis::min_dwell", cfg.Hysteresis.MinDwell)
	c.atLeast("hysteresis::margin", cfg.Hysteresis.Margin, 0)
}

func (cfg *Config) checkSpecials(c *complaints) {
	c.atLeast("hog::cpu", cfg.Hog.CPU, 0)
	c.share("hog::memory", cfg.Hog.Memory)
	c.atLeast("anomaly::factor", cfg.Anomaly.Factor, 0)
	if cfg.Anomaly.Factor > 0 && cfg.Anomaly.Factor <= 1 {
		c.add("anomaly::factor", "%v makes every change an anomaly; set more than 1, or 0 to switch it off", cfg.Anomaly.Factor)
	}
	if cfg.Anomaly.Factor > 0 {
		c.positive("anomaly::half_life", cfg.Anomaly.HalfLife)
	}
	c.atLeast("anomaly::min_cpu", cfg.Anomaly.MinCPU, 0)
	c.atLeast("anomaly::min_memory", cfg.Anomaly.MinMemory, 0)
}

func (cfg *Config) checkTiers(c *complaints) {
	if len(cfg.Tiers) > maxTiers {
		c.add("tiers", "%d are more than the %d that are possible; join some", len(cfg.Tiers), maxTiers)
	}
	names := map[string]int{}
	all := -1 // the first tier that takes every process
	for i, t := range cfg.Tiers {
		key := fmt.Sprintf("tiers[%d]", i)
		before, has := names[t.Name]
		switch {
		case t.Name == "":
			c.add(key+"::name", "is empty; name the tier")
		case has:
			c.add(key+"::name", "%q is the name of tiers[%d] too; give each its own", t.Name, before)
		default:
			names[t.Name] = i
		}
		for j, m := range t.Match {
			c.matcher(fmt.Sprintf("%s::match[%d]", key, j), m)
		}
		c.atLeast(key+"::min_cpu", t.MinCPU, 0)
		c.atLeast(key+"::min_memory", t.MinMemory, 0)
		c.share(key+"::keep", t.Keep)
		if all >= 0 {
			c.add(key, "is never reached, since tiers[%d] takes every process; move that one to the end", all)
		} else if len(t.Match) == 0 && t.MinCPU == 0 && t.MinMemory == 0 {
			all = i
		}
	}
}

func (a *AdaptiveConfig) check(c *complaints) {
	if !a.Enabled {
		return
	}
	if a.SetPoint < 0 {
		c.add("adaptive::set_point", "%d is negative; give the number of series that usually arrive in a scrape, or 0 to learn it", a.SetPoint)
	}
	if a.SetPoint == 0 {
		c.positive("adaptive::half_life", a.HalfLife)
	}
	c.atLeast("adaptive::conservative_below", a.ConservativeBelow, 0)
	c.atLeast("adaptive::aggressive_above", a.AggressiveAbove, 0)
	c.notNegative("adaptive::dwell", a.Dwell)
	switch {
	case !(a.Hysteresis >= 0 && a.Hysteresis < 1):
		c.add("adaptive::hysteresis", "%v is not possible; give a number from 0 to below 1", a.Hysteresis)
	case a.ConservativeBelow >= a.AggressiveAbove:
		c.add("adaptive::conservative_below", "%v is not below the %v of aggressive_above; leave room for balanced between them", a.ConservativeBelow, a.AggressiveAbove)
	case a.ConservativeBelow*(1+a.Hysteresis) > a.AggressiveAbove*(1-a.Hysteresis):
		c.add("adaptive::hysteresis", "%v leaves no room for balanced between conservative_below %v and aggressive_above %v; lower it, or set them further apart", a.Hysteresis, a.ConservativeBelow, a.AggressiveAbove)
	}
	levels := []float64{a.Conservative, a.Balanced, a.Aggressive}
	for i, key := range []string{"adaptive::conservative", "adaptive::balanced", "adaptive::aggressive"} {
		if !(levels[i] > 0 && levels[i] <= 1) {
			c.add(key, "%v is no part of max_processes; give a number above 0, up to 1", levels[i])
		}
	}
	if !(a.Conservative >= a.Balanced && a.Balanced >= a.Aggressive) {
		c.add("adaptive", "the budget must not grow with the load, but conservative, balanced and aggressive are %v, %v and %v; give them in falling order", a.Conservative, a.Balanced, a.Aggressive)
	}
}

func (cfg *Config) checkOutput(c *complaints) {
	if cfg.Temporality != "cumulative" && cfg.Temporality != "delta" {
		c.add("temporality", "%q is unknown; choose cumulative or delta", cfg.Temporality)
	}
	c.notNegative("linger", cfg.Linger)
	if cfg.Linger > 0 && cfg.Temporality == "delta" {
		c.add("linger", "has no effect on differences, which end without a trace; leave it out, or choose temporality cumulative")
	}
	names := make([]string, 0, len(cfg.Gauges))
	for name := range cfg.Gauges {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		rule := cfg.Gauges[name]
		if strings.TrimSpace(name) == "" {
			c.add("gauges", "one has no name; name a metric, such as process.uptime")
		}
		if rule != "sum" && rule != "max" {
			c.add("gauges::"+name, "%q is unknown; choose sum or max", rule)
		}
	}
}

func (cfg *Config) checkMemory(c *complaints) {
	c.notNegative("save_every", cfg.SaveEvery)
	c.positive("stale_after", cfg.StaleAfter)
	c.notNegative("scrape_window", cfg.ScrapeWindow)
	switch {
	case cfg.MaxTracked < 1 || cfg.MaxTracked > mostTracked:
		c.add("max_tracked", "%d is not possible; give the number of processes to remember over all hosts, 1 to %d", cfg.MaxTracked, mostTracked)
	case cfg.MaxTracked < cfg.MaxProcesses:
		c.add("max_tracked", "%d is less than the %d of max_processes, and only processes that are remembered leave by name; raise it", cfg.MaxTracked, cfg.MaxProcesses)
	}
}
