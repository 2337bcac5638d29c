"""What is kept of a collector's words."""

from __future__ import annotations

from pathlib import Path

from phoenix.collectors.member import keep_within, last_words


def test_a_log_stays_within_its_size_while_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "candidate.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 50)
        keep_within(log, 100)
        writer.write(b"new\n")
    assert log.read_bytes() == b"new\n"
    assert (tmp_path / "candidate.log.1").read_bytes() == b"old\n" * 50


def test_a_short_log_is_left_alone_and_a_missing_one_is_not_made(tmp_path: Path) -> None:
    log = tmp_path / "scraper.log"
    keep_within(log, 100)
    assert list(tmp_path.iterdir()) == []
    log.write_text("short\n")
    keep_within(log, 100)
    assert log.read_text() == "short\n"


def test_the_last_words_of_a_collector_are_one_short_line(tmp_path: Path) -> None:
    log = tmp_path / "scraper.log"
    log.write_text("first\n" + "x" * 9000 + "\n  second\nthird\n")
    said = last_words(log)
    assert said.endswith("| second | third")
    assert len(said) < 1000
    assert last_words(tmp_path / "none.log") == "(no log)"
