"""The nouns: a query is one expression of a rule or a panel, with what decides about its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

QueryKind = Literal["alert", "recording", "panel", "variable", "file"]
"""`variable` is a query that fills a list of choices; `file` stands for one that cannot be read."""
NoData = Literal["ok", "no_data", "alerting", "keep_last"]
"""What an alert becomes when its query answers nothing. Prometheus knows only `ok`: no alert."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable of a dashboard: what it may stand for in a label matcher.

    Attributes:
        values: its choices as the file tells them; None when they are asked of the backend.
        selector, label: of `label_values(selector, label)`, which is what is asked.
        pattern: the regular expression that the dashboard filters choices by, or "".
        all_value: what "All" is replaced by, where the dashboard says so (a regular expression).
    """

    name: str
    values: tuple[str, ...] | None = None
    selector: str = ""
    label: str = ""
    pattern: str = ""
    all_value: str = ""

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Variable:
        """What `to_dict` of a query wrote."""
        values = value.get("values")
        return cls(**{**value, "values": None if values is None else tuple(values)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One expression.

    Attributes:
        source: the file, and the group or dashboard in it.
        name: of the alert, of the recorded metric, or of the panel.
        expr: what is judged; a dashboard's variables stand in it between two private characters.
        written: what the file says.
        labels: those that a rule adds to what it records or fires.
        no_data: what an alert becomes without an answer.
        keep_firing_for: how long a Prometheus alert goes on after its answer ended, as written.
        thresholded: the condition is outside of the expression (a Grafana alert), so that an
            answer is there whether it fires or not.
        unreadable: why it cannot be judged, or "".
    """

    kind: QueryKind
    source: str
    name: str
    expr: str
    written: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    variables: tuple[Variable, ...] = ()
    no_data: NoData = "ok"
    keep_firing_for: str = ""
    thresholded: bool = False
    unreadable: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what has its default is left out."""
        whole = asdict(self)
        whole["variables"] = [asdict(each) for each in self.variables]
        return {
            key: value
            for key, value in whole.items()
            if value or key in ("kind", "source", "name", "expr")
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Query:
        """What `to_dict` wrote."""
        variables = tuple(Variable.from_dict(each) for each in value.get("variables", ()))
        return cls(**{**value, "variables": variables})
