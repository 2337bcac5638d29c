"""The decision whether something may run: values in, a decision out.

The stop rule: a candidate may run only while the kill epoch was confirmed in the database at most
CONFIRMED_WITHIN_S ago, and no kill is known from any source. So a kill, or the loss of the
database, the network or the control plane, stops it: confirmation ages out in 2 s, the lease in 3 s
at the latest, and ending takes at most the rest of 5 s.
"""

from __future__ import annotations

from phoenix.safety.model import Decision, KillState, Lease

CONFIRMED_WITHIN_S = 2.0
RENEW_EVERY_S = 1.0


def may_run(scope: str, states: tuple[KillState, ...], lease: Lease) -> Decision:
    """Whether work of `scope` may run under these kill states with this lease.

    Args:
        scope: experiments, payments or gate.
        states: what each source says: the database's last word and the local file's.
        lease: when the epoch was last confirmed in the database.
    """
    for state in states:
        if state.stops(scope):
            return Decision(allowed=False, reason=f"killed by {state.actor}: {state.reason}")
    if lease.confirmed_at is None:
        return Decision(allowed=False, reason="the kill state was never confirmed")
    age_s = lease.now - lease.confirmed_at
    if age_s > CONFIRMED_WITHIN_S:
        return Decision(
            allowed=False, reason=f"the kill state was last confirmed {age_s:.1f} s ago"
        )
    return Decision(allowed=True, reason="confirmed")


def in_force(stored: KillState, local: KillState | None, *, told: bool) -> KillState:
    """What holds on this machine, of the database's word and the local file's.

    A local kill that the database was not told of holds, whatever the epochs: it was meant, and
    nobody has revived it since.
    """
    if local is None:
        return stored
    if local.killed and not told:
        return local
    return newest(stored, local)


def newest(a: KillState, b: KillState) -> KillState:
    """Of two sources the later epoch; at equal epochs the one that stops more."""
    if a.epoch != b.epoch:
        return a if a.epoch > b.epoch else b
    return a if a.killed else b
