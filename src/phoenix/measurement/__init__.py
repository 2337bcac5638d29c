"""What each arm of an experiment emits, counted: OTLP in, ticks and costs out.

Promises: nothing is counted from a request that is refused; a tick, once closed, never changes; a
window that has not elapsed is None; memory is bounded, and what goes beyond a bound is estimated
by a sketch with its stated error or dropped and counted. Command lines are never kept.
Leaves to others: starting collectors (collectors), judging ticks (experiments).
"""
