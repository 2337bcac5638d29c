"""An auditor's report: who changed, stopped, approved or was refused what, and why, line by line.

Every line is read from the bytes of an entry whose receipt was verified before; nothing comes from
a table that could say something else. The controls beside a line are those that auditors ask such
evidence for; whether they are met, the auditor says.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from uuid import UUID

from jinja2 import Environment, StrictUndefined

from phoenix.base.clock import rfc3339
from phoenix.ledger.facts import words
from phoenix.ledger.store import Logged
from phoenix.ledger.tree import leaf_hash

#: Why an auditor asks: control, and what it demands in a few words.
CONTROLS = {
    "SOC 2 CC8.1": "changes are authorised, tested, approved and documented",
    "SOC 2 CC7.4": "incidents are responded to, and the response is recorded",
    "PCI DSS 10.2.1.2": "actions of everybody with administrative access are logged",
    "PCI DSS 10.2.1.4": "attempts that were refused are logged",
}
_CHANGES = ("experiment.", "pipeline.", "promotion.", "key.")
_INCIDENTS = ("safety.",)
_REFUSED = ("refused", "denied", "failed")
_COLUMNS = (
    "index", "receipt", "at", "who", "acting_as", "what", "target", "result", "before", "after",
    "why", "controls",
)  # fmt: skip
# A cell that begins so is a formula to spreadsheets.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One entry, in an auditor's words; text is empty where the entry says nothing."""

    index: int
    receipt: str
    at: datetime | None
    who: str
    acting_as: str
    what: str
    target: str
    result: str
    before: str
    after: str
    why: str
    controls: tuple[str, ...]

    def cells(self) -> tuple[str, ...]:
        """The line as texts, in the order of the columns."""
        at = rfc3339(self.at) if self.at else ""
        return (
            str(self.index), self.receipt, at, self.who, self.acting_as, self.what, self.target,
            self.result, self.before, self.after, self.why, "; ".join(self.controls),
        )  # fmt: skip


def line(index: int, entry: bytes) -> Line:
    """The line of an entry."""
    said = words(Logged(seq=index, id=UUID(int=0), entry=entry, leaf=leaf_hash(entry)))
    fields = _fields(entry)
    actor = fields.get("actor")
    kind = str(actor.get("type", "")) if isinstance(actor, dict) else ""
    what, result = _text(said["action"]), _text(said["outcome"])
    at = said["at"]
    return Line(
        index=index, receipt=_text(fields.get("id")), at=at if isinstance(at, datetime) else None,
        who=_text(said["actor"]), acting_as=kind, what=what, target=_text(said["target"]),
        result=result, before=_text(fields.get("prev_state")),
        after=_text(fields.get("new_state")), why=_text(said["reason"]),
        controls=controls(what, result, kind),
    )  # fmt: skip


def controls(action: str, outcome: str, actor_type: str) -> tuple[str, ...]:
    """Which controls ask for evidence of such an action."""
    found = []
    if action.startswith(_CHANGES):
        found.append("SOC 2 CC8.1")
    if action.startswith(_INCIDENTS):
        found.append("SOC 2 CC7.4")
    if actor_type in ("person", "key"):
        found.append("PCI DSS 10.2.1.2")
    if outcome in _REFUSED:
        found.append("PCI DSS 10.2.1.4")
    return tuple(found)


def table(lines: Iterable[Line]) -> str:
    """The lines as CSV (RFC 4180), in which no cell is a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for each in lines:
        writer.writerow(f"'{c}" if c.startswith(_FORMULA) else c for c in each.cells())
    return out.getvalue()


def page(
    lines: Sequence[Line], *, since: datetime, until: datetime, origin: str, size: int, root: str,
    vkey: str, made_at: datetime,
) -> str:  # fmt: skip
    """The lines as one HTML page without scripts, which loads nothing."""
    template = files("phoenix.ledger").joinpath("bundle_files", "audit.html").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    counted = {name: sum(name in each.controls for each in lines) for name in CONTROLS}
    return environment.from_string(template).render(
        lines=[(each, each.cells()) for each in lines], since=rfc3339(since), until=rfc3339(until),
        origin=origin, size=size, root=root, vkey=vkey, made_at=rfc3339(made_at),
        controls=CONTROLS, counted=counted,
        refused=sum(each.result in _REFUSED for each in lines),
        people=sorted({each.who for each in lines if each.acting_as in ("person", "key")}),
    )  # fmt: skip


def _fields(entry: bytes) -> dict[str, object]:
    try:
        found = json.loads(entry)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str:
    """Text that shows what it is: no control signs, and none that turn the direction of others."""
    if not isinstance(value, str):
        return ""
    return "".join(each if each.isprintable() else "\ufffd" for each in value)
