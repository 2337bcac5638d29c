"""No secret in a log."""

from __future__ import annotations

import pytest

from phoenix.telemetry.logs import HIDDEN, hide_secrets


@pytest.mark.parametrize("key", ["token", "meter_token", "Authorization", "DATABASE_URL", "apiKey"])
def test_values_of_keys_that_name_secrets_are_hidden(key: str) -> None:
    assert hide_secrets(None, "", {key: "s3cret"}) == {key: HIDDEN}


def test_a_password_inside_a_url_is_hidden() -> None:
    event = hide_secrets(None, "", {"event": "cannot reach postgres://u:s3cret@h/db"})
    assert event["event"] == f"cannot reach postgres://u:{HIDDEN}@h/db"
