"""A database that refuses to commit a decision without its ledger entry.

Every table is listed: what is only observed in it (measurements, and what is derived from them)
needs no entry; every other change does. The check runs at COMMIT, so it sees the transaction whole.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from types import MappingProxyType

from phoenix.storage.embedded import binaries

#: Table -> the columns that are observations; `*` where the whole table is one.
OBSERVED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "experiments": ("live",),
        "experiment_transitions": (),
        "experiment_revisions": (),
        "experiment_looks": ("*",),
        "idempotency_keys": (),
        "kill_state": (),
        # The tokens inside `spec` are forgotten once the shadow has stopped.
        "shadows": ("status", "updated_at", "spec"),
        "shadow_samples": ("*",),
        "meter_subscriptions": ("arm_states", "run_baseline", "run_candidate"),
        "ticks": ("*",),
        "meter_names": ("*",),
        "meter_emitted": ("*",),
        "experiment_queries": (),
        "leases": ("*",),
        "ledger_outbox": ("*",),
        "ledger_entries": ("*",),
        "ledger_tiles": ("*",),
        "ledger_state": ("*",),
        "ledger_checkpoints": ("*",),
        "ledger_keys": ("*",),
        "ledger_facts": ("*",),
        "ledger_anchors": ("*",),
        "schema_migrations": ("*",),
    }
)

_CHECK = """
CREATE FUNCTION needs_an_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM ledger_outbox WHERE txid = pg_current_xact_id()) THEN
        RAISE EXCEPTION '% on % without a ledger entry', TG_OP, TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END
$$;
"""


def guard(url: str) -> str:
    """Make the database at `url` refuse such commits; returns `url`."""
    statements = [_CHECK]
    for table, columns in OBSERVED.items():
        if columns == ("*",):
            continue
        names = "ARRAY[" + ", ".join(f"'{name}'" for name in columns) + "]::text[]"
        changed = f"to_jsonb(OLD) - {names} IS DISTINCT FROM to_jsonb(NEW) - {names}"
        for event, condition in (("INSERT OR DELETE", ""), ("UPDATE", f"WHEN ({changed})")):
            statements.append(
                f"CREATE CONSTRAINT TRIGGER {table}_{event.split()[0].lower()}_has_an_entry "
                f"AFTER {event} ON {table} DEFERRABLE INITIALLY DEFERRED "
                f"FOR EACH ROW {condition} EXECUTE FUNCTION needs_an_entry();"
            )
    run_sql(url, "\n".join(statements))
    return url


def run_sql(url: str, sql: str) -> str:
    """Run statements as the owner of the database; returns what psql prints."""
    done = subprocess.run(
        [str(binaries() / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url],
        input=sql,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
