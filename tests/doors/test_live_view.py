"""Watching a run and reading its result on a terminal: what is shown, and what can do no harm."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from phoenix.base.errors import Invalid, Unavailable
from phoenix.cli import output, views
from phoenix.cli.live import ArmView, LiveState, PlainLines, draw, live_view, sparkline
from phoenix.experiments.report.reading import ReportUnreadable
from phoenix.testing.report import HOSTILE, document, losing

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def answered(**live: Any) -> dict[str, Any]:
    """What the API answers about a running experiment in its 60th tick of evidence."""
    arm = {"points": 1200, "series": 1200, "raw_bytes": 120_000, "wire_bytes": 12_000}
    return {
        "id": "exp-a1b2c3d4",
        "state": "running",
        "phase": "observing",
        "spec": {"interval_s": 2.0, "warmup_ticks": 20, "evidence_ticks_max": 150},
        "live": {
            "sentence": "Waiting for the end of the window: 90 ticks to go.",
            "warmup_ticks": 20,
            "ticks": 60,
            "excluded": {"paused": 2},
            "reduction": 0.856,
            "band": [0.81, 0.88],
            "withheld": None,
            "missing": [],
            "last": {
                "baseline": arm,
                "candidate": {**arm, "series": 172, "points": 172},
                "critical_baseline": 7,
                "critical_candidate": 6,
            },
            "use": {"candidate": {"cores": 0.016, "rss_max_bytes": 70 * 2**20}},
            **live,
        },
    }


def on_terminal(shown: object, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def plain(text: str) -> str:
    return _COLOUR.sub("", text)


def fits(text: str, width: int = 80) -> bool:
    return all(cell_len(line) <= width for line in plain(text).splitlines())


def test_both_arms_stand_side_by_side_within_80_columns() -> None:
    text = on_terminal(draw(LiveState.from_api(answered())))
    assert fits(text)
    rows = {line.strip("│ ")[:16].strip(): line for line in plain(text).splitlines()}
    assert re.search(r"600 +86 +85\.7", rows["points/s"])
    assert re.search(r"1,200 +172", rows["active series"])
    assert re.search(r"7 +6", rows["critical seen"])
    assert "70 MiB" in rows["collector memory"]
    assert "evidence 60/150" in plain(text)
    assert "81.0% to 88.0%" in plain(text)
    assert "2 paused" in plain(text)
    assert "90 ticks to go" in plain(text)


def test_an_experiment_that_just_began_is_drawn_without_numbers() -> None:
    state = LiveState.from_api({"id": "exp-a1b2c3d4", "state": "pending"})
    text = plain(on_terminal(draw(state)))
    assert state.baseline == ArmView()
    assert "insufficient data" in text
    assert " 0 " not in text


def test_a_withheld_band_is_not_shown() -> None:
    state = LiveState.from_api(answered(withheld="too few batches"))
    text = plain(on_terminal(draw(state, [0.2, 0.1])))
    assert "81.0%" not in text
    assert "▁" not in text
    assert "not enough evidence yet" in text


def test_the_narrowing_of_the_band_is_a_falling_line() -> None:
    assert sparkline([0.8, 0.4, 0.2, 0.1]) == "█▅▃▂"
    assert sparkline([]) == ""
    assert sparkline([0.0, 0.0]) == ""
    assert len(sparkline([1.0] * 100)) == 8


def test_the_view_remembers_how_wide_the_band_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")  # a dumb terminal is not drawn on in place
    console = Console(width=80, file=io.StringIO(), force_terminal=True)
    with live_view(console) as show:
        for width in (0.4, 0.2, 0.2, 0.1):
            show(LiveState.from_api(answered(band=[0.85 - width / 2, 0.85 + width / 2])))
    assert isinstance(console.file, io.StringIO)
    assert "█▅▃" in console.file.getvalue()


def test_a_hostile_name_cannot_command_the_terminal() -> None:
    state = LiveState.from_api(answered(missing=[HOSTILE], sentence=f"Missing: {HOSTILE}"))
    lines = PlainLines().update(state)
    live = on_terminal(draw(state))
    end = document()
    end["processes"]["hidden"][0]["name"] = HOSTILE
    end["verdict"]["sentence"] = f"Lost: [/bold] {HOSTILE}"
    end["experiment"]["candidate"] = "[/red]mine[bold].yaml"
    text = on_terminal(views.report(end))
    for shown in (plain(live), plain(text), "".join(lines)):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    assert "\\x1b[31m" in plain(text)
    assert "[/red]mine[bold].yaml" in plain(text)


def test_plain_lines_come_every_ten_ticks_and_at_each_phase() -> None:
    lines = PlainLines()
    said = [lines.update(LiveState.from_api(answered(ticks=tick))) for tick in range(60, 80)]
    assert [len(each) for each in said] == [1, *[0] * 9, 1, *[0] * 9]
    ended = {**answered(ticks=79), "state": "analyzing", "phase": "deciding"}
    assert len(lines.update(LiveState.from_api(ended))) == 1


def test_a_line_names_tick_series_reduction_and_what_is_waited_for() -> None:
    (line,) = PlainLines().update(LiveState.from_api(answered()))
    for part in ("tick 60/150", "1,200 -> 172", "85.6%", "6/7", "Waiting for the end"):
        assert part in line
    assert "\x1b" not in line


@pytest.mark.parametrize("ticks", [None, losing(30), losing(2)])
def test_the_result_fits_80_columns_and_names_every_part(ticks: Any) -> None:
    text = on_terminal(views.report(document(ticks=ticks)))
    assert fits(text)
    for part in ("Guardrails", "one scrape", "by name", "extrapolated", "cost this host"):
        assert part in plain(text)


def test_the_result_survives_its_journey_through_json() -> None:
    made = document()
    assert on_terminal(views.report(json.loads(json.dumps(made)))) == on_terminal(
        views.report(made)
    )


def test_a_file_that_is_no_report_is_refused() -> None:
    with pytest.raises(ReportUnreadable, match="not a report"):
        views.report({"a": 1})


def test_a_report_with_a_broken_part_is_refused_with_a_remedy() -> None:
    made = document()
    shown = set(made) - {"schema", "series", "provenance"}
    for part in sorted(shown):
        for broken in (None, 3, "x"):
            with pytest.raises(ReportUnreadable) as refused:
                views.report({**made, part: broken})
            assert refused.value.remedy is not None


def test_a_file_that_cannot_be_written_is_told_with_a_remedy(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere" / "report.html"):
        with pytest.raises(Invalid, match="cannot be written") as refused:
            output.write(place, "text")
        assert refused.value.remedy is not None
    with pytest.raises(Unavailable, match="No space left"):
        output.write(Path("/dev/full"), "text")
    output.write(tmp_path / "report.html", "text")
    assert (tmp_path / "report.html").read_text() == "text"


def test_the_picture_of_the_result_asks_nothing_of_any_server(tmp_path: Path) -> None:
    first, second = tmp_path / "a.svg", tmp_path / "b.svg"
    views.save_terminal_svg(document(), first)
    views.save_terminal_svg(document(), second)
    picture = first.read_text(encoding="utf-8")
    assert picture == second.read_text(encoding="utf-8")
    assert "ADOPT" in picture
    assert re.findall(r"https?://(?!www\.w3\.org/)", re.sub(r"<!--.*?-->", "", picture)) == []
