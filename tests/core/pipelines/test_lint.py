"""The lint finds each trap where it is, and nothing in what is sound.

Every file of the corpus carries its expectation: `# expect: RULE ...` on the line of the finding.
00 to 46 are classes that were tried in a real collector, 50 and up are traps of a chain as a whole.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phoenix.pipelines import catalog, render
from phoenix.pipelines.critical import DEFAULT_CRITICAL
from phoenix.pipelines.lint import lint

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.yaml"))
SOUND = (CORPUS[0]).read_text()


def expected(text: str) -> set[tuple[str, int]]:
    found = set()
    for number, line in enumerate(text.splitlines(), start=1):
        if (mark := re.search(r"# expect: ([a-z -]+)$", line)) is not None:
            found |= {(rule, number) for rule in mark[1].split()}
    return found


@pytest.mark.parametrize("file", CORPUS, ids=lambda f: f.stem)
def test_each_trap_is_found_on_its_line(file: Path) -> None:
    text = file.read_text()
    findings = lint(text, file.name, environment=())
    assert {(f.rule, f.line) for f in findings} == expected(text)
    for finding in findings:
        assert finding.message.endswith(".")
        assert finding.remedy
        assert str(finding).startswith(f"{file.name}:{finding.line}: ")


def test_the_corpus_holds_the_forty_seven_classes_and_only_one_needs_a_run() -> None:
    numbered = [f for f in CORPUS if int(f.stem[:2]) < 47]
    assert len(numbered) == 47
    silent = [f.stem for f in numbered if not expected(f.read_text())]
    assert silent == ["00-sound", "35-nobody-listens"]


@pytest.mark.parametrize("name", catalog.names())
def test_the_catalog_is_clean_but_for_the_misspelt_name_of_the_demonstration(name: str) -> None:
    pipeline = catalog.load(name)
    for revision in (
        render.arm(pipeline, None, DEFAULT_CRITICAL, 1, own_paths=("/opt/phoenix/",)),
        render.production(pipeline, None, DEFAULT_CRITICAL, 60),
        render.scraper(pipeline, None, 1, ["baseline"], ["/opt/phoenix/"], True, DEFAULT_CRITICAL),
    ):
        rules = {f.rule for f in lint(revision.config, name, environment=render.ENVIRONMENT)}
        assert rules <= ({"suspect-name"} if pipeline.demonstration else set())


def test_the_rules_are_all_in_the_reference() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "lint.md").read_text()
    rules = {rule for file in CORPUS for rule, _ in expected(file.read_text())}
    assert {rule for rule in rules if f"`{rule}`" not in page} == set()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "a: [", "just text", "\x00", "a: &a [*a]", "- 1", "a: b: c", "x" * (1 << 20) + "y"],
)
def test_what_is_no_configuration_is_one_finding(text: str) -> None:
    (finding,) = lint(text, "given.yaml")
    assert finding.rule == "not-yaml"
    assert finding.remedy


def test_an_alias_bomb_is_refused_before_it_unfolds() -> None:
    lines = ['a0: &a0 ["x", "x", "x", "x", "x", "x", "x", "x", "x"]']
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    (finding,) = lint("\n".join(lines), "bomb.yaml")
    assert "unfolds" in finding.message


@given(st.data())
@settings(max_examples=400, deadline=None, derandomize=True)
def test_no_mangled_configuration_breaks_the_lint(data: st.DataObject) -> None:
    lines = data.draw(st.sampled_from(CORPUS)).read_text().splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at] = data.draw(
            st.sampled_from(
                ["", "- x", "{}", "[1, {a: b}]", lines[at] * 2, lines[at][2:], "  null", "\t",
                 lines[at].split(":")[0] + ": null", lines[at].split(":")[0] + ": [3, {}]",
                 lines[at].split(":")[0] + ": {a: 1}", lines[at].split(":")[0] + ": 7"]
            )
        )  # fmt: skip
    lint("\n".join(lines), "mangled.yaml", environment=())
