"""Every setting, with its unit, its default and its reason; read once from the environment.

A setting is a row of `SETTINGS`; the documentation lists the same rows, and a test compares them.
Processes read `load()` and hand values on; nothing else looks at the environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from phoenix.base.errors import Invalid
from phoenix.host.ports import free_port, hold, is_free

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the table."""

    variable: str
    default: str
    unit: str
    reason: str


SETTINGS: tuple[Setting, ...] = (
    Setting(
        variable="PHOENIX_DATA_DIR",
        default=".phoenix",
        unit="path",
        reason="everything that is built or written lies in one folder that can be deleted",
    ),
    Setting(
        variable="DATABASE_URL",
        default="",
        unit="URL",
        reason="empty: a PostgreSQL of our own in the data folder; else yours, 15 or newer",
    ),
    Setting(
        variable="PHOENIX_API_PORT",
        default="8080",
        unit="port",
        reason="the runbooks' port; a free one is taken when it is in use and was not asked for",
    ),
    Setting(
        variable="PHOENIX_METER_PORT",
        default="4318",
        unit="port",
        reason="the port of OTLP over HTTP; a free one is taken when it is in use",
    ),
    Setting(
        variable="PHOENIX_CONTROLLER_PORT",
        default="8090",
        unit="port",
        reason="metrics and health of the controller; a free one is taken when it is in use",
    ),
    Setting(
        variable="PHOENIX_LOG_LEVEL",
        default="info",
        unit="debug, info, warning or error",
        reason="what a person needs who reads the log for the first time",
    ),
    Setting(
        variable="PHOENIX_API_ENDPOINT",
        default="",
        unit="URL",
        reason="empty: commands talk to the Phoenix of the data folder",
    ),
    Setting(
        variable="PHOENIX_OUTPUT_FORMAT",
        default="table",
        unit="table, json or yaml",
        reason="people read tables",
    ),
    Setting(
        variable="PHOENIX_LEDGER_ANCHOR",
        default="",
        unit="path",
        reason="empty: nowhere; else a folder, better a git repository with a remote, that keeps "
        "checkpoints of the ledger outside of its database",
    ),
    Setting(
        variable="PHOENIX_GO_CACHE",
        default="",
        unit="path",
        reason="empty: Go's caches lie in the data folder; else they are shared between clones",
    ),
)

_DEFAULTS: Mapping[str, str] = {setting.variable: setting.default for setting in SETTINGS}
_PORTS = {
    "api": "PHOENIX_API_PORT",
    "meter": "PHOENIX_METER_PORT",
    "controller": "PHOENIX_CONTROLLER_PORT",
}


class SettingInvalid(Invalid):
    """A setting cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one process."""

    data_dir: Path
    database_url: str
    ports: Mapping[str, int]
    log_level: str
    ledger_anchor: Path | None = None

    @property
    def database_is_embedded(self) -> bool:
        """Whether Phoenix brings its own PostgreSQL."""
        return not self.database_url

    @property
    def meter_url(self) -> str:
        """Where arms send."""
        return f"http://{LOOPBACK}:{self.ports['meter']}"

    def environment(self) -> dict[str, str]:
        """What a child process needs to read the same settings."""
        return {
            "PHOENIX_DATA_DIR": str(self.data_dir),
            "PHOENIX_LOG_LEVEL": self.log_level,
            **{_PORTS[name]: str(port) for name, port in self.ports.items()},
        }


def data_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """The data folder, absolute."""
    return Path(_value(environment, "PHOENIX_DATA_DIR")).expanduser().resolve()


def load(
    environment: Mapping[str, str] = os.environ,
    *,
    choose_ports: bool = False,
    hold_ports: bool = False,
) -> Settings:
    """Read the settings.

    Args:
        environment: where to read.
        choose_ports: replace default ports that are in use by free ones (the supervisor does,
            and hands its choice to the roles).
        hold_ports: keep the choice from every other Phoenix of this host while this process lives.

    Raises:
        SettingInvalid: a value of the wrong kind, or a port asked for that is in use.
    """
    level = _value(environment, "PHOENIX_LOG_LEVEL").lower()
    if level not in ("debug", "info", "warning", "error"):
        raise SettingInvalid(
            f"PHOENIX_LOG_LEVEL is '{level}'.", remedy="Use debug, info, warning or error."
        )
    ports = {name: _port(environment, variable) for name, variable in _PORTS.items()}
    if choose_ports:
        ports = _chosen(environment, ports, hold if hold_ports else is_free)
    return Settings(
        data_dir=data_dir(environment),
        database_url=_value(environment, "DATABASE_URL"),
        ports=ports,
        log_level=level,
        ledger_anchor=_folder(environment, "PHOENIX_LEDGER_ANCHOR"),
    )


def _value(environment: Mapping[str, str], variable: str) -> str:
    return environment.get(variable, "") or _DEFAULTS[variable]


def _folder(environment: Mapping[str, str], variable: str) -> Path | None:
    text = _value(environment, variable)
    return Path(text).expanduser().resolve() if text else None


def _port(environment: Mapping[str, str], variable: str) -> int:
    text = _value(environment, variable)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise SettingInvalid(f"{variable} is '{text}'.", remedy="Use a port from 1 to 65535.")
    return int(text)


def _chosen(
    environment: Mapping[str, str], ports: Mapping[str, int], take: Callable[[int], bool]
) -> dict[str, int]:
    chosen: dict[str, int] = {}
    for name, port in ports.items():
        variable = _PORTS[name]
        if port not in chosen.values() and take(port):
            chosen[name] = port
        elif environment.get(variable):
            raise SettingInvalid(
                f"{variable} asks for port {port}, which is in use.",
                remedy="Choose another, or unset it to have a free one chosen.",
            )
        else:
            chosen[name] = next(p for p in iter(free_port, 0) if take(p))
    return chosen
