"""The page of figures, from the results that are kept: docs/reference/figures.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from figuring import front, targets, words

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "reference" / "figures.md"
IMAGES = ROOT / "docs" / "images"
PROFILES = {
    "realistic": "--load realistic",
    "high-cardinality": "--load high-cardinality --count 2000",
    "high-churn": "--load high-churn --births-per-s 30",
}
ABOUT = """\
# Figures: what every pipeline keeps, hides and costs

Three recorded hours of real processes, scraped every 10 s by the real collector, and replayed \
through every pipeline of the catalog. All pipelines see the same scrapes; those that read the \
processes in their own way (`process-slim-v1`, `process-minimal-v1`) get their own scrape, made at \
the same moments by the same collector.

The page is written by `python bench/pipelines.py --page` from `bench/results/`; figures belong to \
the machine and the load that they name.

## What the words mean

The truth is the default scrape. A process is *visible* if what leaves tells its name and its pid. \
The first minute is replayed and not counted: a scrape that leaves out what is younger than 30 s \
shows nothing of a load that just started.

- **series**: in one scrape; *over the run*: distinct ones in all counted scrapes. *Against \
default*, *against slim*: how many fewer than `process-baseline-v1` and `process-slim-v1`, in a \
scrape and over the run.
- **bytes, gzip**: OTLP protobuf of what leaves for a scrape, and the same with gzip at level 6.
- **CPU ms, MiB, peak**: of the collector that runs the pipeline, fed over OTLP/HTTP, without the \
scrape and without compressing what leaves. MiB is the resident size in the second and in the last \
fifth of the run, so that growth shows; the peak is that of the whole replay. A replay is faster \
than an hour, so what a processor remembers for some minutes by the wall clock it remembers for \
more scrapes here.
- **coverage**: the share of critical processes (default rules) that are visible: mean, and the \
worst scrape.
- **recall**: of the ten processes with most CPU time since the scrape before (with most memory), \
the share that is visible. A hidden process within 10 % of the eleventh is left out of the count: \
which of the two is in the top ten says nothing. *Strict* leaves out nobody. CPU time comes in \
steps of 10 ms, so with an idle host many are within a step of the eleventh.
- **hidden hogs**: processes above 5 % of one core since the scrape before, or above 5 % of the \
host's memory, that are not visible: once for each scrape in which it is one, of how many there \
were; *processes* counts each once.
- **conservation**: what counters rose by after the pipeline against what they rose by before it, \
over the whole run and in the worst scrape, by the rule that [the meter](meter.md) uses: a first \
sample counts in full if its process started meanwhile, a fall counts the new value. Levels \
(memory) are compared scrape by scrape. Only metrics that a pipeline sends are compared. *Worst \
category* has at least 1 % of the whole. 0 is below 1e-9: the precision of the numbers.
- **±**: half of the 95 % interval by batch means (20 stretches of the run, Student's t): scrapes \
that follow each other are alike, so their own spread would say too little.
- **Pareto front**: the pipelines that no other beats, that is: none is nowhere worse in series, \
recall, hidden hogs and conservation, and better in one.

The loads are those of `phoenix load`, and in every ten minutes of them a fifth of the services \
restart one to four times, 60 processes execute another program, five use 8 to 30 % of a core for \
half a minute to two, and one fills 6 % of memory for 90 s.
"""


def write() -> list[Path]:
    """Write the page and its pictures from the kept results."""
    made = contents()
    for path, text in made.items():
        path.write_text(text)
    return list(made)


def contents() -> dict[Path, str]:
    """What the files hold: the same results give the same bytes."""
    parts, made = [ABOUT], {}
    for profile, asked in PROFILES.items():
        path = RESULTS / f"pipelines-{profile}.json"
        if path.exists():
            found = json.loads(path.read_text())
            made[IMAGES / f"front-{profile}.svg"] = front.drawn(found)
            parts.append(section(profile, asked, found))
    return {PAGE: "\n".join(parts), **made}


def section(profile: str, asked: str, found: dict[str, Any]) -> str:
    """One load."""
    result = f"bench/results/pipelines-{profile}.json"
    build = found["recording"]["collector"]["version"].removeprefix("otelcol-phoenix version ")
    return f"""\
## {profile}

{words.title(found)} Recorded {found["recording"]["started_at"][:16].replace("T", " ")} UTC, \
replayed {found["date"][:16].replace("T", " ")} UTC, collector {build}.

```console
$ python bench/record.py {asked} --minutes 62 --interval 10 --out recordings/{profile}
$ python bench/pipelines.py --recording recordings/{profile} --save {result}
```

{targets.markdown(found)}
{words.markdown(found)}
![Series against what is hidden and lost](../images/front-{profile}.svg)

```
{front.told(found)}
```
"""
