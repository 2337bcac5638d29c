package processbudget

import (
	"math"
	"time"
)

// pressure is how far the host is from its set point.
type pressure uint8

const (
	balanced pressure = iota // where it starts
	conservative
	aggressive
)

// adapt is the level after a scrape in which `ratio` times the set point arrived, `held` after the
// level was entered.
//
// A level is left only when its threshold is crossed back by the hysteresis, and not before its dwell
// is over; with one exception, for an explosion: beyond twice the threshold it is aggressive at once.
func adapt(now pressure, held time.Duration, ratio float64, cfg *AdaptiveConfig) pressure {
	if ratio > 2*cfg.AggressiveAbove {
		return aggressive
	}
	if held < cfg.Dwell {
		return now
	}
	low, high := cfg.ConservativeBelow, cfg.AggressiveAbove
	switch now {
	case conservative:
		low *= 1 + cfg.Hysteresis
	case aggressive:
		high *= 1 - cfg.Hysteresis
	}
	switch {
	case ratio < low:
		return conservative
	case ratio > high:
		return aggressive
	}
	return balanced
}

// budgetAt is the number of processes that may leave by name at a level, at least one.
func budgetAt(level pressure, most int, cfg *AdaptiveConfig) int {
	part := cfg.Balanced
	switch level {
	case conservative:
		part = cfg.Conservative
	case aggressive:
		part = cfg.Aggressive
	}
	return max(1, int(math.Floor(part*float64(most)+1e-9)))
}

// adaptedBudget follows the load of h and answers its budget. Without a set point of its own, a host's
// is what usually arrives from it: a moving average, exponential in time.
func (b *budgeter) adaptedBudget(h *hostState) int {
	cfg := &b.cfg.Adaptive
	if !cfg.Enabled {
		return b.cfg.MaxProcesses
	}
	arrived := float64(h.arrived)
	if h.usual == 0 {
		h.usual, h.levelSince = arrived, h.last
	}
	usual := float64(cfg.SetPoint)
	if cfg.SetPoint == 0 {
		usual = h.usual
	}
	if !h.again {
		held := time.Duration(h.last - min(h.last, h.levelSince))
		if next := adapt(h.level, held, arrived/max(usual, 1), cfg); next != h.level {
			h.level, h.levelSince = next, h.last
		}
		weight := 1 - math.Exp2(-seconds(h.previous, h.last)/cfg.HalfLife.Seconds())
		if h.previous == 0 {
			weight = 0
		}
		h.usual += weight * (arrived - h.usual)
	}
	return budgetAt(h.level, b.cfg.MaxProcesses, cfg)
}
