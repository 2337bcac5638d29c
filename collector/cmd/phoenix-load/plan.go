package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Plan says which processes to run. phoenix.load writes it; unknown fields are ignored.
type Plan struct {
	Processes []Process `json:"processes"` // run until the end
	Births    []Birth   `json:"births"`    // one cycle of them, ascending; repeated for ever
	CycleS    float64   `json:"cycle_s"`   // length of that cycle
}

// Process is one process by what people see of it and what it costs.
type Process struct {
	Name       string   `json:"name"`              // of its executable, at most 255 bytes
	Argv       []string `json:"argv"`              // with the name it gives itself first
	CPUShare   float64  `json:"cpu_share"`         // of one core, 0 to 1
	RSSBytes   int64    `json:"rss_bytes"`         // touched beyond what the runtime needs
	WriteBytes int64    `json:"write_bytes_per_s"` // to a file without a name
}

// Birth is a process that starts at AtS of each cycle and ends by itself LifetimeS later.
// `{birth}` in its arguments becomes the running number of the birth.
type Birth struct {
	AtS       float64  `json:"at_s"`
	LifetimeS float64  `json:"lifetime_s"`
	Process   Process  `json:"process"`
	Becomes   *Program `json:"becomes"` // what it executes later, if anything
}

// Program is what a running process becomes by execve: the pid and the start stay, the name and the
// command line are new.
type Program struct {
	AfterS float64  `json:"after_s"` // of its life
	Name   string   `json:"name"`
	Argv   []string `json:"argv"`
}

func parsePlan(text []byte) (Plan, error) {
	var plan Plan
	if err := json.Unmarshal(text, &plan); err != nil {
		return Plan{}, fmt.Errorf("the plan is not valid JSON: %w", err)
	}
	for _, process := range plan.Processes {
		if err := process.check(); err != nil {
			return Plan{}, err
		}
	}
	previous := 0.0
	for _, birth := range plan.Births {
		if err := birth.Process.check(); err != nil {
			return Plan{}, err
		}
		if birth.AtS < previous || birth.AtS >= plan.CycleS || birth.LifetimeS <= 0 {
			return Plan{}, fmt.Errorf("births must ascend within cycle_s and live: at_s %v, lifetime_s %v", birth.AtS, birth.LifetimeS)
		}
		previous = birth.AtS
		if next := birth.Becomes; next != nil {
			if err := (Process{Name: next.Name, Argv: next.Argv}).check(); err != nil {
				return Plan{}, err
			}
			if next.AfterS <= 0 || next.AfterS >= birth.LifetimeS {
				return Plan{}, fmt.Errorf("%s must become %s within its life: after_s %v, lifetime_s %v", birth.Process.Name, next.Name, next.AfterS, birth.LifetimeS)
			}
		}
	}
	return plan, nil
}

func (p Process) check() error {
	if p.Name == "" || p.Name == "." || p.Name == ".." || len(p.Name) > 255 || strings.ContainsAny(p.Name, "/\x00") {
		return fmt.Errorf("%q is not the name of a file", p.Name)
	}
	if len(p.Argv) == 0 {
		return fmt.Errorf("%s has an empty command line", p.Name)
	}
	for _, argument := range p.Argv {
		if strings.Contains(argument, "\x00") {
			return fmt.Errorf("an argument of %s holds a zero byte", p.Name)
		}
	}
	if p.CPUShare < 0 || p.CPUShare > 1 || p.RSSBytes < 0 || p.WriteBytes < 0 {
		return fmt.Errorf("%s asks for a cost out of range", p.Name)
	}
	return nil
}

// numbered is the birth with `{birth}` replaced in all arguments by its running number.
func (b Birth) numbered(number int) Birth {
	b.Process.Argv = numbered(b.Process.Argv, number)
	if b.Becomes != nil {
		next := *b.Becomes
		next.Argv = numbered(next.Argv, number)
		b.Becomes = &next
	}
	return b
}

func numbered(argv []string, number int) []string {
	filled := make([]string, len(argv))
	for i, argument := range argv {
		filled[i] = strings.ReplaceAll(argument, "{birth}", fmt.Sprint(number))
	}
	return filled
}
