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

// adapt is the level after a scrape that brought `arrived` series, `held` after the level was entered.
//
// A level is left only when its threshold is crossed back by the hysteresis, and not before its dwell
// is over; one exception, for an explosion: it goes to aggressive at once beyond twice the threshold.
func adapt(now pressure, held time.Duration, arrived int, cfg *AdaptiveConfig) pressure {
	ratio := float64(arrived) / float64(cfg.SetPoint)
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
	if !cfg.Enabled {
		return most
	}
	part := cfg.Balanced
	switch level {
	case conservative:
		part = cfg.Conservative
	case aggressive:
		part = cfg.Aggressive
	}
	return max(1, int(math.Floor(part*float64(most)+1e-9)))
}
