package processbudget

import (
	"fmt"
	"regexp"
	"strings"
)

// identity is what names a process: the part of its resource attributes that matchers look at.
type identity struct {
	name, path, owner, cgroup, command string
}

// matcher is a compiled Matcher.
type matcher struct {
	name, path, owner, cgroup, unit        string
	nameRe, pathRe, cgroupRe, commandRe    *regexp.Regexp
	below, cgroupBelow, looksAtCommandLine bool
}

// compileMatcher checks m and compiles it. The error says which field is wrong.
func compileMatcher(m Matcher) (matcher, error) {
	if m == (Matcher{}) {
		return matcher{}, fmt.Errorf("matches nothing: set at least one of name, name_regex, path, path_regex, owner, cgroup, cgroup_regex, unit, command_line_regex")
	}
	c := matcher{
		name: m.Name, path: m.Path, owner: m.Owner, cgroup: m.Cgroup, unit: m.Unit,
		below:              strings.HasSuffix(m.Path, "/"),
		cgroupBelow:        strings.HasSuffix(m.Cgroup, "/"),
		looksAtCommandLine: m.CommandLineRegex != "",
	}
	for _, each := range []struct {
		field, pattern string
		into           **regexp.Regexp
	}{
		{"name_regex", m.NameRegex, &c.nameRe},
		{"path_regex", m.PathRegex, &c.pathRe},
		{"cgroup_regex", m.CgroupRegex, &c.cgroupRe},
		{"command_line_regex", m.CommandLineRegex, &c.commandRe},
	} {
		if each.pattern == "" {
			continue
		}
		re, err := regexp.Compile(each.pattern)
		if err != nil {
			return matcher{}, fmt.Errorf("%s: %w (RE2 syntax: https://github.com/google/re2/wiki/Syntax)", each.field, err)
		}
		*each.into = re
	}
	return c, nil
}

// matches says whether every field that is set holds for id. What is unknown matches nothing.
func (m *matcher) matches(id *identity) bool {
	switch {
	case m.name != "" && id.name != m.name,
		m.nameRe != nil && (id.name == "" || !m.nameRe.MatchString(id.name)),
		m.path != "" && !is(id.path, m.path, m.below),
		m.pathRe != nil && (id.path == "" || !m.pathRe.MatchString(id.path)),
		m.owner != "" && id.owner != m.owner,
		m.cgroup != "" && !is(id.cgroup, m.cgroup, m.cgroupBelow),
		m.cgroupRe != nil && (id.cgroup == "" || !m.cgroupRe.MatchString(id.cgroup)),
		m.unit != "" && unitOf(id.cgroup) != m.unit,
		m.commandRe != nil && (id.command == "" || !m.commandRe.MatchString(id.command)):
		return false
	}
	return true
}

func is(value, wanted string, below bool) bool {
	if below {
		return strings.HasPrefix(value, wanted)
	}
	return value == wanted
}

// cgroupPath is the path in what the scraper reports as process.cgroup, which is the whole of
// /proc/PID/cgroup (cgroups(7)): a line "hierarchy:controllers:path" for each hierarchy. The unified
// one (0) counts, else that of systemd, else the first.
func cgroupPath(content string) string {
	best, found := "", 0
	for rest := content; rest != ""; {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		number, after, some := strings.Cut(line, ":")
		controllers, path, all := strings.Cut(after, ":")
		if !some || !all {
			continue
		}
		worth := 1
		switch {
		case number == "0" && controllers == "" && path != "/":
			worth = 3
		case controllers == "name=systemd":
			worth = 2
		}
		if worth > found {
			best, found = path, worth
		}
	}
	if found == 0 {
		return content
	}
	return best
}

// unitSuffixes are the kinds of systemd units that own processes (systemd.unit(5)).
var unitSuffixes = []string{".service", ".scope", ".socket", ".mount", ".swap"}

// unitOf is the innermost systemd unit in a cgroup's path, or "". Slices only group units.
func unitOf(cgroup string) string {
	for rest := cgroup; rest != ""; {
		cut := strings.LastIndexByte(rest, '/')
		for _, suffix := range unitSuffixes {
			if strings.HasSuffix(rest[cut+1:], suffix) {
				return rest[cut+1:]
			}
		}
		if cut < 0 {
			break
		}
		rest = rest[:cut]
	}
	return ""
}

// classifier sorts processes: is it critical, which category, which tiers could hold it.
type classifier struct {
	critical   []matcher
	categories []matcher
	names      []string // of the categories; the last is the category of what matches none
	tiers      []tier
	// readsCommandLine is whether any rule looks at command lines; otherwise they are not remembered.
	readsCommandLine bool
}

type tier struct {
	match  []matcher
	cpu    float64
	memory float64
	keep   float64
}

// class is what a classifier says of one process.
type class struct {
	critical int    // index of the first critical rule that matches, or -1
	category int    // index in classifier.names
	tiers    uint64 // bit i: the matchers of tier i fit
}

const maxTiers = 64

// newClassifier compiles the rules of cfg. The error names the key that is wrong.
func newClassifier(cfg *Config) (*classifier, error) {
	c := &classifier{}
	compile := func(where string, m Matcher) (matcher, error) {
		compiled, err := compileMatcher(m)
		if err != nil {
			return matcher{}, fmt.Errorf("%s: %w", where, err)
		}
		c.readsCommandLine = c.readsCommandLine || compiled.looksAtCommandLine
		return compiled, nil
	}
	for i, m := range cfg.Critical {
		compiled, err := compile(fmt.Sprintf("critical[%d]", i), m)
		if err != nil {
			return nil, err
		}
		c.critical = append(c.critical, compiled)
	}
	for i, each := range cfg.Categories {
		compiled, err := compile(fmt.Sprintf("categories[%d] %q", i, each.Category), each.Matcher)
		if err != nil {
			return nil, err
		}
		c.categories = append(c.categories, compiled)
		c.names = append(c.names, each.Category)
	}
	c.names = append(c.names, cfg.OtherCategory)
	for i, each := range cfg.Tiers {
		t := tier{cpu: each.MinCPU, memory: each.MinMemory, keep: each.Keep}
		for j, m := range each.Match {
			compiled, err := compile(fmt.Sprintf("tiers[%d] %q: match[%d]", i, each.Name, j), m)
			if err != nil {
				return nil, err
			}
			t.match = append(t.match, compiled)
		}
		c.tiers = append(c.tiers, t)
	}
	if len(c.tiers) > maxTiers {
		return nil, fmt.Errorf("tiers: %d are more than the %d that are possible", len(c.tiers), maxTiers)
	}
	return c, nil
}

// classify applies the rules to id.
func (c *classifier) classify(id *identity) class {
	found := class{critical: -1, category: len(c.categories)}
	for i := range c.critical {
		if c.critical[i].matches(id) {
			found.critical = i
			break
		}
	}
	for i := range c.categories {
		if c.categories[i].matches(id) {
			found.category = i
			break
		}
	}
	for i := range c.tiers {
		if len(c.tiers[i].match) == 0 || anyMatches(c.tiers[i].match, id) {
			found.tiers |= 1 << i
		}
	}
	return found
}

func anyMatches(rules []matcher, id *identity) bool {
	for i := range rules {
		if rules[i].matches(id) {
			return true
		}
	}
	return false
}

// tierOf is the first tier whose rules fit (mask) and whose thresholds are reached, or -1.
func (c *classifier) tierOf(mask uint64, cpu, memory float64) int {
	for i := range c.tiers {
		t := &c.tiers[i]
		if mask&(1<<i) == 0 {
			continue
		}
		if t.cpu == 0 && t.memory == 0 || t.cpu > 0 && cpu >= t.cpu || t.memory > 0 && memory >= t.memory {
			return i
		}
	}
	return -1
}
