"""The page of a report: self-contained, harmless, accessible, the same bytes each time."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from phoenix.experiments.report import html
from phoenix.experiments.report.reading import ReportUnreadable, checked, visible
from phoenix.testing.evidence import spec
from phoenix.testing.report import HOSTILE, document, losing

_ALONE = {"meta", "br", "link", "img"}


class Outline(HTMLParser):
    """What a browser would build: open tags balance, and attributes are collected."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _ALONE:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return document()


@pytest.fixture(scope="module")
def page(report: dict[str, Any]) -> str:
    return html.render(report)


def test_the_same_document_gives_the_same_bytes(report: dict[str, Any], page: str) -> None:
    assert html.render(copy.deepcopy(report)) == page


def test_nothing_is_requested_and_nothing_runs(page: str) -> None:
    outline = Outline(page)
    names = {tag for tag, _ in outline.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "form", "base"}
    for _, attributes in outline.tags:
        assert not {"src", "href", "srcset", "action"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_a_hostile_process_name_is_only_text(page: str) -> None:
    assert HOSTILE not in page
    assert "<script" not in page
    assert '<script>alert(1)</script>"\\x1b[31m\\u202eexe' in Outline(page).text


def test_every_text_of_a_document_is_escaped() -> None:
    def poisoned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: poisoned(item) for key, item in value.items()}
        if isinstance(value, list):
            return [poisoned(item) for item in value]
        return f"{value}</svg><x-evil a='\"&" if isinstance(value, str) else value

    honest = document()
    bad = poisoned(honest)
    bad["schema"] = honest["schema"]
    for key in ("outcome", "scope"):
        bad["verdict"][key] = honest["verdict"][key]
    drawn = html.render(bad)
    assert not [tag for tag, _ in Outline(drawn).tags if tag == "x-evil"]


def test_every_plot_has_a_title_and_a_description_of_its_own(page: str) -> None:
    outline = Outline(page)
    plots = [a for tag, a in outline.tags if tag == "svg"]
    ids = [a["id"] for _, a in outline.tags if "id" in a]
    assert len(plots) == 7
    assert len(ids) == len(set(ids))
    for plot in plots:
        assert plot["role"] == "img"
        assert set((plot["aria-labelledby"] or "").split()) <= set(ids)


def test_the_plotted_numbers_are_in_a_table_too(report: dict[str, Any], page: str) -> None:
    for tick in report["series"]["ticks"][:3]:
        assert f"<td>{tick['tick']}</td><td>{tick['at'][11:19]}</td>" in page


def test_what_was_not_measured_reads_insufficient_data() -> None:
    unmeasured = document(samples=[], names=[], cards=[])
    drawn = html.render(unmeasured)
    plot = re.search(r'<title id="collector-cpu-title">.*?</svg>', drawn, re.S)
    assert plot is not None
    assert "insufficient data" in plot.group()
    assert "NaN" not in drawn
    assert ">None<" not in drawn


def test_an_aborted_run_names_the_lost_process_and_is_not_green() -> None:
    drawn = html.render(document(ticks=losing(30)))
    assert 'class="verdict bad"' in drawn
    assert "aborted early" in drawn
    assert "nginx[41]" in drawn


def test_a_run_without_one_evidence_tick_still_has_a_page() -> None:
    empty = document(ticks=[*losing(2)], samples=[])
    assert empty["ticks"]["evidence"] == 0
    assert "insufficient data" in html.render(empty)


def test_a_long_run_is_thinned_in_plots_and_table() -> None:
    long = document(asked=spec(evidence_ticks_max=3000), count=3000)
    drawn = html.render(long)
    assert len(long["series"]["ticks"]) == 2999
    assert len(drawn) < 400_000
    assert "report.json has all of them" in drawn


@pytest.mark.parametrize("wrong", [None, [], {}, {"schema": "phoenix.report/2"}, "report"])
def test_what_is_no_report_is_refused_with_a_remedy(wrong: Any) -> None:
    with pytest.raises(ReportUnreadable) as refused:
        html.render(wrong)
    assert refused.value.remedy is not None


def test_a_report_with_a_broken_part_is_refused_not_half_drawn(report: dict[str, Any]) -> None:
    for part in report:
        if part == "schema":
            continue
        for broken in (None, 3, "x"):
            with pytest.raises(ReportUnreadable):
                html.render({**report, part: broken})


def _numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where numbers stand in a document; of every list the first two items."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _numbers(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value[:2]):
            yield from _numbers(item, (*path, index))
    elif isinstance(value, int | float):
        yield path


@pytest.mark.parametrize(
    "odd",
    [float("nan"), float("inf"), -5, 1e308, 10**400],
    ids=["nan", "inf", "negative", "huge", "beyond floats"],
)
def test_an_odd_number_anywhere_is_drawn_or_refused_never_half_drawn(odd: float) -> None:
    small = document(count=4)
    for path in _numbers(small):
        changed = copy.deepcopy(small)
        parent = changed
        for step in path[:-1]:
            parent = parent[step]
        parent[path[-1]] = odd
        try:
            drawn = html.render(changed)
        except ReportUnreadable:
            continue
        assert not re.search(r'\s(x[12]?|y[12]?|width|height|d)="[^"]*(nan|inf)', drawn)


def test_a_report_nested_too_deeply_is_refused(report: dict[str, Any]) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ReportUnreadable, match="nested"):
        html.render({**report, "series": deep})


def test_a_report_from_before_a_field_was_added_is_still_drawn(report: dict[str, Any]) -> None:
    old = copy.deepcopy(report)
    del old["unobserved"]["ticks"]
    del old["configurations"]["findings"]
    del old["experiment"]["conservation_tolerance"]
    for row in old["series"]["ticks"]:
        del row["cpu_s"]
    assert "insufficient data" in html.render(old)


def test_what_the_criteria_allow_is_drawn_into_the_plots(page: str) -> None:
    for limit in ("required 30 %", "allowed 1 %"):
        assert limit in page


def test_unseen_characters_are_spelled_out_everywhere(report: dict[str, Any]) -> None:
    assert visible("a\x1b[2J\u202eb\x00\x9b\ud800\tc\n") == (
        "a\\x1b[2J\\u202eb\\x00\\x9b\\ud800\tc\n"
    )
    names = [hidden["name"] for hidden in checked(report)["processes"]["hidden"]]
    assert visible(HOSTILE) in names
    assert HOSTILE not in names
