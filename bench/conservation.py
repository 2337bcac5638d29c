"""Do totals survive a pipeline and a backend? Every pipeline's series, put to a real Prometheus 3.

    .venv/bin/python bench/record.py --load high-churn --minutes 60
    .venv/bin/python bench/conservation.py [--recording FOLDER] [--arms NAME …] [--json FILE]

Replays the recorded scrapes of one hour through each pipeline in the real collector, hands what
leaves to Prometheus over OTLP with the times of the recording, and asks for
`sum(increase(…))` over the whole. That is held against what the processes used by the stated rule,
read from the raw scrapes (phoenix.testing.truth), and against the error that the same engine makes
on a constant counter in the same run. With `--every 10` one in ten scrapes is used, and what the
others saw says how much no scrape at that interval sees. Without `--recording` five minutes of the
profile high-churn are recorded first. docs/explanation/conservation.md says what the columns mean.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from conserving import arms, hours, measure
from load import DATA_DIR, machine
from phoenix.base.clock import SystemClock, rfc3339
from phoenix.collectors import distribution
from phoenix.testing import prometheus_build, recording
from phoenix.testing.truth import COUNTERS

TOLERANCE = 0.001
"""How much further off than the engine itself a pipeline may be."""
SHORT = {"load": "high-churn", "minutes": "5"}


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recording", type=Path)
    parser.add_argument("--arms", nargs="+", help="only those of these names")
    parser.add_argument("--every", type=int, default=1, help="use one in so many scrapes")
    parser.add_argument("--collector", type=Path, help="a built one, instead of ours")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    folder = asked.recording or recorded()
    manifest = recording.Manifest.of(folder)
    binary = asked.collector or distribution.build(DATA_DIR)
    prometheus_build.program("prometheus", DATA_DIR, report=say)
    chosen = [
        arm
        for arm in arms.arms(manifest.interval_s * asked.every)
        if not asked.arms or arm.name in asked.arms
    ]
    names = {arms.BASELINE, *(arm.scrape for arm in chosen)}
    read_once = read(folder, manifest, names, asked.every)
    default = read_once[arms.BASELINE]
    result = {**about(manifest, binary, default), "arms": []}
    with tempfile.TemporaryDirectory() as kept:
        # A run takes long, and newer builds take the place of this one meanwhile.
        copy = Path(shutil.copy(binary, kept))
        for arm in chosen:
            say(arm.name)
            own = read_once[arm.scrape]
            result["arms"].append(measure.measure(arm, own, default, copy, DATA_DIR))
    show(result)
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")


def recorded() -> Path:
    """A short recording of churn; made now unless there is one."""
    folder = DATA_DIR / "recordings" / "conservation"
    if not (folder / "manifest.json").is_file():
        script = Path(__file__).with_name("record.py")
        options = [f"--{key}={value}" for key, value in SHORT.items()]
        subprocess.run([sys.executable, script, *options, f"--out={folder}"], check=True)
    return folder


def read(
    folder: Path, manifest: recording.Manifest, names: set[str], every: int
) -> dict[str, hours.Hour]:
    """The scrapes that all files have, with what is true about them.

    A scrape that leaves out young processes has nothing to tell at first, so its file begins later.
    """
    paths = {name: folder / manifest.scrapes[name] for name in names}
    read_at = {name: hours.times(path) for name, path in paths.items()}
    begin = max(found[0] for found in read_at.values()) - manifest.interval_s * 1e9 / 2
    skip = {name: sum(at < begin for at in found) for name, found in read_at.items()}
    frames = min(len(found) - skip[name] for name, found in read_at.items())
    say(f"{frames} scrapes of {folder.name}, one in {every} used")
    return {name: hours.hour(path, skip[name], frames, every) for name, path in paths.items()}


def about(manifest: recording.Manifest, binary: Path, default: hours.Hour) -> dict[str, Any]:
    """What the figures belong to."""
    return {
        "measured_at": rfc3339(SystemClock().now()),
        "machine": machine(),
        "prometheus": prometheus_build.VERSION,
        "collector": binary.resolve().parent.name,
        "load": dict(manifest.load),
        "recorded_at": manifest.started_at,
        "interval_s": manifest.interval_s * default.every,
        "every": default.every,
        "isolated": manifest.isolated,
        "scrapes": len(default.scrapes),
        "range_s": (default.until_ms - default.after_ms) / 1000,
        "processes": [min(s.processes for s in default.scrapes),
                      max(s.processes for s in default.scrapes)],
    }  # fmt: skip


def show(result: dict[str, Any]) -> None:
    """Two tables for each metric: the whole range, and other ways of asking."""
    load = result["load"]
    print(
        f"\nload {load['profile']}, seed {load['seed']}, {result['scrapes']} scrapes at "
        f"{result['interval_s']:g} s, {result['range_s']:.0f} s, "
        f"Prometheus {result['prometheus']}"
    )
    for metric in COUNTERS:
        of = result["arms"][0][metric]
        print(f"\n{metric}: {of['true']:,.1f} in truth", end="")
        finer = of["finer"] / of["true"] - 1
        thinned = result["every"] > 1
        print(f", scrapes in between saw {finer:+.2%}\n" if thinned else "\n")
        for columns in (WHOLE, (*OTHERWISE, FINER) if thinned else OTHERWISE):
            print(f"| {' | '.join(['pipeline', *columns])} |\n|---{'|---' * len(columns)}|")
            for arm in result["arms"]:
                cells = cells_of(arm, arm[metric])
                print(f"| {' | '.join([arm['arm'], *(cells[name] for name in columns)])} |")
            print()


def cells_of(arm: dict[str, Any], of: dict[str, Any]) -> dict[str, str]:
    """Every column of one pipeline and one metric. Shares are of the truth."""
    true, own = of["true"], own_error(arm)
    off = of["increase"] / true - 1
    windows, rest, ends = of["five_minutes"], of["remainder"], of["added_at_end_by"]
    return {
        "series": f"{arm['series']:,}",
        "points a scrape": f"{arm['points']:,.0f}",
        "increase()": f"{off:+.3%}",
        "engine's own": f"{own:.3%}",
        "within": "yes" if abs(off) <= own + TOLERANCE else "no",
        "anchored": f"{of['anchored'] / true - 1:+.3%}",
        "lost or doubled": f"{of['rise'] / true - 1:+.3%}",
        "at beginnings": f"{of['added_at_begin'] / true:+.3%}",
        "at exits": f"{ends['exit'] / true:+.3%}",
        "at other ends": f"{(ends['stream'] + ends['slot'] + ends['edge']) / true:+.3%}",
        "worst category": worst(of["categories"], true),
        "remainder: resets, jump": f"{rest['resets']:.0f}, {rest['largest_jump']:.3g}"
        if rest
        else "-",
        "5 min: median (least, most)": f"{windows['median']:+.2%} ({windows['least']:+.2%}, "
        f"{windows['most']:+.2%})"
        if windows["windows"]
        else "-",
        "smoothed": f"{of['smoothed'] / true - 1:+.3%}",
        "with start times": f"{of['start_times'] / true - 1:+.3%}",
        FINER: f"{of['increase'] / of['finer'] - 1:+.3%}",
    }


FINER = "increase() against all recorded scrapes"
WHOLE = (
    "series", "points a scrape", "increase()", "engine's own", "within", "anchored",
    "lost or doubled",
    "at beginnings", "at exits", "at other ends", "remainder: resets, jump",
)  # fmt: skip
OTHERWISE = (
    "worst category", "5 min: median (least, most)", "smoothed", "with start times",
)  # fmt: skip


def own_error(arm: dict[str, Any]) -> float:
    """The larger error that the engine makes on a constant counter."""
    return max(abs(float(arm["engine"][name])) for name in measure.CONSTANTS)


def worst(categories: dict[str, dict[str, float]], true: float) -> str:
    """The category that is furthest off, of those with a hundredth of the whole."""
    errors = {
        name: of["increase"] / of["true"] - 1
        for name, of in categories.items()
        if of["true"] >= true / 100
    }
    if not errors:
        return "-"
    name = max(errors, key=lambda each: abs(errors[each]))
    return f"{name} {errors[name]:+.2%}"


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
