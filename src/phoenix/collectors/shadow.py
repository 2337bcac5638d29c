"""What one host runs for one experiment: a scraper feeding one collector an arm.

The arms start first, since the scraper's queues would otherwise fill with what nobody takes. Each
arm has its own process, port, queue and log: what happens to one costs the other nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from phoenix.collectors import rules
from phoenix.collectors.member import Member
from phoenix.collectors.model import ARMS, SCRAPER, ShadowSpec, ShadowStatus
from phoenix.collectors.ports import LoadRunner, Permission
from phoenix.host.ports import free_port

CANDIDATE = "candidate"


class Shadow:
    """The collectors of one experiment on this host."""

    def __init__(
        self,
        spec: ShadowSpec,
        *,
        binary: Path,
        data_dir: Path,
        salt: str,
        load: LoadRunner | None = None,
    ) -> None:
        self.spec = spec
        self._folder = data_dir / "run" / spec.experiment_id
        self._logs = data_dir / "logs" / "collectors" / spec.experiment_id
        self._load = load if spec.load is not None else None
        self._load_started = False
        self._paused_because: str | None = None
        self.members = self._members(binary, salt)

    def tend(self, now: datetime, candidate: Permission) -> None:
        """Bring everything one step nearer to running; the candidate only while it is allowed."""
        if not self._load_ready():
            return
        for name in ARMS:
            member = self.members[name]
            if name == CANDIDATE and not candidate.allowed:
                self._pause(member, candidate.reason)
            else:
                member.tend(now)
        if self._fed_arms_ready() or self.members[SCRAPER].pid is not None:
            self.members[SCRAPER].tend(now)

    def halt_candidate(self, reason: str) -> None:
        """End the candidate now: its lease is over."""
        self._pause(self.members[CANDIDATE], reason)

    def end(self) -> None:
        """End everything, the scraper first, and forget the files with secrets."""
        for name in (SCRAPER, *ARMS):
            self.members[name].end("stopped")
        if self._load is not None and self._load_started:
            self._load.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def status(self) -> ShadowStatus:
        """What others are told."""
        members = {name: member.status() for name, member in self.members.items()}
        load = None
        if self._load is not None:
            load = "running" if self._load_started and self._load.is_ready() else "starting"
        return ShadowStatus(phase=rules.phase(members, wanted=True), members=members, load=load)

    def _load_ready(self) -> bool:
        if self._load is None:
            return True
        if not self._load_started:
            assert self.spec.load is not None
            self._load.start(self.spec.load)
            self._load_started = True
        return self._load.is_ready()

    def _fed_arms_ready(self) -> bool:
        fed = [self.members[a] for a in ARMS if self._is_fed(a)]
        return all(m.state in ("running", "paused", "failed") for m in fed)

    def _is_fed(self, arm: str) -> bool:
        return f"PHOENIX_{arm.upper()}_ENDPOINT" in self.spec.scraper

    def _pause(self, member: Member, reason: str) -> None:
        if member.state != "paused":
            member.end("paused")
            member.last_error = f"paused: {reason}"

    def _members(self, binary: Path, salt: str) -> dict[str, Member]:
        self._folder.mkdir(parents=True, exist_ok=True)
        listen = {arm: f"127.0.0.1:{free_port()}" for arm in ARMS}
        feeds = {f"PHOENIX_{arm.upper()}_ENDPOINT": at for arm, at in listen.items()}
        members = {SCRAPER: self._member(SCRAPER, self.spec.scraper, binary, salt, feeds)}
        for arm in ARMS:
            own = {
                "PHOENIX_OTLP_LISTEN": listen[arm],
                "PHOENIX_METER_ENDPOINT": (
                    f"{self.spec.meter_url}/{self.spec.experiment_id}/{arm}"
                ),
                "PHOENIX_METER_TOKEN": self.spec.token(arm),
            }
            members[arm] = self._member(arm, self.spec.arms[arm], binary, salt, own)
        return members

    def _member(
        self, name: str, text: str, binary: Path, salt: str, environment: Mapping[str, str]
    ) -> Member:
        config = self._folder / f"{name}.yaml"
        config.write_text(text, encoding="utf-8")
        return Member(
            name=name,
            binary=binary,
            config=config,
            log=self._logs / f"{name}.log",
            environment={**environment, "PHOENIX_REDACTION_SALT": salt},
            telemetry_port=free_port(),
            memory_limit_mib=self.spec.memory_limit_mib,
        )
