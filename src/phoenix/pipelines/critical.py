"""Which processes must stay visible by name, and the list to start from.

The list names what people are woken for: the doors (web servers and proxies), the stores (databases
and brokers), what runs containers, and what lets a person into the host at all. It holds names and
patterns of executables only, so that a scraper can apply it before reading a process.
"""

from __future__ import annotations

import re
from functools import lru_cache

from phoenix.pipelines import re2
from phoenix.pipelines.errors import BadCriticalRule
from phoenix.pipelines.model import CriticalKind, CriticalRule

_KINDS: tuple[CriticalKind, ...] = ("name", "path", "regex", "owner")
_LONGEST_VALUE = 512
_FORMS = (
    "Write a bare executable name, `name:nginx`, `regex:^kafka`, `path:/usr/sbin/nginx` "
    "(or a directory with a slash at its end) or `owner:postgres`."
)

_NAMES = {
    "web servers and proxies": (
        "nginx", "apache2", "httpd", "haproxy", "envoy", "traefik", "caddy", "varnishd",
    ),
    "databases and caches": (
        "postgres", "mysqld", "mariadbd", "mongod", "redis-server", "valkey-server", "memcached",
        "etcd", "clickhouse-server", "cassandra",
    ),
    "brokers": ("rabbitmq-server", "beam.smp", "nats-server", "mosquitto", "kafka"),
    "application servers": ("java",),
    "containers": (
        "dockerd", "containerd", "crio", "kubelet", "kube-apiserver", "kube-proxy",
    ),
    "the host itself": ("sshd", "systemd", "chronyd", "cron", "crond"),
}  # fmt: skip
_PATTERNS = ("^php-fpm", "^systemd-(journald|logind|networkd|resolved|udevd)$")

DEFAULT_CRITICAL: tuple[CriticalRule, ...] = (
    *(
        CriticalRule(kind="name", value=name, source="default")
        for group in _NAMES.values()
        for name in group
    ),
    *(CriticalRule(kind="regex", value=pattern, source="default") for pattern in _PATTERNS),
)


def parse(text: str, *, source: str = "option") -> CriticalRule:
    """The rule that `text` states: `kind:value`, or a bare executable name.

    Raises:
        BadCriticalRule: an unknown kind, nothing after the colon, a relative path, or a regular
            expression that the collector and Phoenix would not read alike.
    """
    kind, value = _split(text.strip())
    if not value or len(value) > _LONGEST_VALUE or not value.isprintable():
        raise BadCriticalRule(
            f"The critical rule {text[:80]!r} has no usable value "
            f"(1 to {_LONGEST_VALUE} printable characters).",
            remedy=_FORMS,
        )
    if kind == "path" and not value.startswith("/"):
        raise BadCriticalRule(f"The path {value!r} is not absolute.", remedy=_FORMS)
    if kind == "regex" and (reason := re2.why_not_both(value)) is not None:
        raise BadCriticalRule(
            f"The pattern {value!r} cannot be used: {reason}.",
            remedy="Use RE2 syntax: https://github.com/google/re2/wiki/Syntax",
        )
    return CriticalRule(kind=kind, value=value, source=source)


def matches(rule: CriticalRule, *, name: str, path: str | None, owner: str | None) -> bool:
    """Does `rule` hold for a process with this executable name, path and owner?

    What is unknown (None) matches nothing. `ottl.critical` says the same in the collector's words.
    """
    match rule.kind:
        case "name":
            return name == rule.value
        case "regex":
            return _pattern(rule.value).search(name) is not None
        case "path":
            if path is None:
                return False
            return path.startswith(rule.value) if rule.value.endswith("/") else path == rule.value
        case "owner":
            return owner == rule.value


def _split(text: str) -> tuple[CriticalKind, str]:
    head, colon, rest = text.partition(":")
    for kind in _KINDS:
        if colon and head == kind:
            return kind, rest.strip()
    if colon and head.isidentifier():
        raise BadCriticalRule(f"There is no kind of critical rule {head!r}.", remedy=_FORMS)
    return "name", text


@lru_cache(maxsize=1024)
def _pattern(value: str) -> re.Pattern[str]:
    return re2.compiled(value)
