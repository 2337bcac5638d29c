"""The documentation is complete: what the code offers has its place, and what it links to exists.

Nothing is listed here: settings, commands, routes, codes and metrics are found in the code, so a
new one fails until it is documented.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

SETTING = re.compile(r"PHOENIX_[A-Z][A-Z0-9_]+|DATABASE_URL|OTLP_ENDPOINT")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
CODE_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)

# In a process of its own: it imports every module, and none of that may leak into other tests.
COMPARE = """
import pathlib, sys
sys.path.insert(0, "scripts")
import reference
name = sys.argv[1]
path = reference.PAGES_FOLDER / name
sys.exit(0 if path.exists() and path.read_text() == reference.PAGES[name]() else 3)
"""


@pytest.mark.parametrize("page", ["commands.md", "api.md", "errors.md", "metrics.md"])
def test_generated_page_says_what_the_code_says(page: str, root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMPARE, page], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode != 3, f"docs/reference/{page} is not what the code says: run `make docs`"
    assert done.returncode == 0, done.stderr[-3000:]


def test_every_setting_is_documented(sources: list[Path], files: list[Path], root: Path) -> None:
    read = {
        str(node.value)
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and SETTING.fullmatch(node.value)
    }
    pages = "".join(path.read_text() for path in files if path.suffix == ".md")
    missing = sorted(name for name in read if not re.search(rf"\b{name}\b", pages))
    assert not missing, f"give these a place in docs/reference/settings.md: {missing}"


def test_every_link_between_pages_leads_somewhere(files: list[Path], root: Path) -> None:
    dead = [
        f"{page.relative_to(root)}: {target}"
        for page in files
        if page.suffix == ".md"
        for target in LINK.findall(CODE_FENCE.sub("", page.read_text()))
        if "://" not in target and not target.startswith("mailto:")
        if not (page.parent / target).exists()
    ]
    assert dead == []


def test_every_page_is_reached_from_the_index(root: Path) -> None:
    docs = root / "docs"
    index = (docs / "index.md").read_text()
    lost = [
        page.relative_to(docs).as_posix()
        for page in docs.rglob("*.md")
        if page.name != "index.md" and page.relative_to(docs).as_posix() not in index
    ]
    assert not lost, f"link these from docs/index.md: {lost}"


def test_architecture_places_every_package(root: Path) -> None:
    page = (root / "ARCHITECTURE.md").read_text()
    packages = {each.stem for each in (root / "src/phoenix").iterdir() if each.stem[0] != "_"}
    assert [name for name in sorted(packages) if f"`{name}`" not in page] == []


def test_readme_shows_how_to_start_and_how_to_test(root: Path) -> None:
    readme = (root / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme


def test_every_make_target_named_in_a_page_exists(files: list[Path], root: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.MULTILINE))
    named = {
        (page.relative_to(root).as_posix(), target)
        for page in files
        if page.suffix == ".md"
        for target in re.findall(r"`make ([a-z]+)\b", page.read_text())
    }
    assert {(page, target) for page, target in named if target not in targets} == set()


def test_decisions_are_numbered_without_gaps_and_have_four_headings(root: Path) -> None:
    records = sorted((root / "docs/decisions").glob("*.md"))
    assert [int(each.name[:4]) for each in records] == list(range(1, len(records) + 1))
    for each in records:
        headings = re.findall(r"^## (.*)", each.read_text(), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences", "Rejected"], each.name


def test_pages_speak_of_existing_modules(files: list[Path], root: Path) -> None:
    """A page that names `phoenix.measurement.ticks` is wrong once that module is gone."""
    gone = set()
    for page in files:
        if page.suffix != ".md" or page.name == "CHANGELOG.md":
            continue
        for name in re.findall(r"`(phoenix(?:\.[a-z_]+)+)`", page.read_text()):
            # The last parts may name a function inside a module.
            parts = name.split(".")
            tries = (
                root.joinpath("src", *parts[:length]) for length in (len(parts), len(parts) - 1)
            )
            if not any(path.is_dir() or path.with_suffix(".py").exists() for path in tries):
                gone.add(f"{page.relative_to(root)}: {name}")
    assert gone == set()
