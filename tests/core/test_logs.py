"""No secret in a log."""

from __future__ import annotations

import subprocess
import sys

import pytest

from phoenix.telemetry.logs import HIDDEN, hide_secrets


@pytest.mark.parametrize("key", ["token", "meter_token", "Authorization", "DATABASE_URL", "apiKey"])
def test_values_of_keys_that_name_secrets_are_hidden(key: str) -> None:
    assert hide_secrets(None, "", {key: "s3cret"}) == {key: HIDDEN}


def test_a_password_inside_a_url_is_hidden() -> None:
    event = hide_secrets(None, "", {"event": "cannot reach postgres://u:s3cret@h/db"})
    assert event["event"] == f"cannot reach postgres://u:{HIDDEN}@h/db"


def test_a_password_inside_a_traceback_is_hidden() -> None:
    program = """
import structlog
from phoenix.telemetry import logs
logs.setup("info", "test")
try:
    raise RuntimeError("cannot reach postgres://u:s3cret@h/db")
except RuntimeError:
    structlog.get_logger().exception("failed")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert f"postgres://u:{HIDDEN}@h/db" in done.stderr
    assert done.stderr.count("cannot reach") == 1
