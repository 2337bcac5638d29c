"""Fifty shapes in which passwords, tokens and keys stand on command lines, each with its needles.

A needle is a piece of the secret that must be found nowhere, in any encoding in which it stands on
the command line. Values are seeded and belong to nobody.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """One command line, and what of it is secret."""

    name: str
    argv: tuple[str, ...]
    needles: tuple[str, ...]


# {s} is the secret, {b} its base64, {q} its percent-encoding, {h} its hexadecimal digits, {l} and
# {r} its halves. Arguments are separated by spaces; a space inside one is written as ~.
_SHAPES = (
    "--password={s}", "--password {s}", "-p{s}", "-p {s}", "-pass~{s}", "--passwd={s}",
    "password={s}", "PGPASSWORD={s}", "MYSQL_PWD={s}", "--db-pass:{s}", "/password:{s}",
    "--secret={s}", "--client-secret {s}", "--api-key={s}", "--apikey {s}", "--token={s}",
    "--token {s}", "--auth=Bearer~{s}", "-H Authorization:~Bearer~{s}", "-H X-Api-Key:~{s}",
    "-u admin:{s}", "--user=admin:{s}", "-H Authorization:~Basic~{b}", "--cookie session={s}",
    "postgresql://app:{s}@db.example:5432/app", "mysql://root:{s}@db.example/app",
    "redis://:{s}@cache.example:6379/0", "amqps://bus:{s}@queue.example/prod",
    "mongodb+srv://app:{s}@docs.example/app", "https://bot:{s}@git.example/repository.git",
    "https://example.com/hook?token={q}&x=1", "https://example.com/hook/{s}",
    "--dsn=host=db.example~user=app~password={s}", "jdbc:sqlserver://db.example;password={s};",
    "AccountName=app;AccountKey={b};EndpointSuffix=core.example", "AKIA{a} {s}",
    "AWS_SECRET_ACCESS_KEY={s} AWS_ACCESS_KEY_ID=AKIA{a}", "--aws-session-token={b}",
    "ghp_{s}", "xoxb-123456789012-{s}", "sk_live_{s}", "AIza{s}", "--jwt={j}",
    "-----BEGIN~PRIVATE~KEY-----\n{b}\n-----END~PRIVATE~KEY-----",
    '{{"user":"app","password":"{s}"}}', "--set db.password={s}", "--key-hex={h}",
    "--split {l} {r}", "sh -c export~TOKEN={s};~exec~app",
)  # fmt: skip


def planted(seed: int = 1) -> tuple[Planted, ...]:
    """All fifty; the last one carries its secret in the name that it gives itself."""
    dice = random.Random(seed)  # noqa: S311 - the same secrets every time
    made = [_planted(n, shape, dice) for n, shape in enumerate(_SHAPES)]
    secret = _drawn(dice, 24)
    title = f"planted: worker for app:{secret}@db"
    made.append(Planted(name=f"planted-{len(made):02d}", argv=(title,), needles=(secret,)))
    assert len(made) == 50, "as many as are promised"
    return tuple(made)


def _planted(n: int, shape: str, dice: random.Random) -> Planted:
    secret, access = _drawn(dice, 24), _drawn(dice, 16).upper()
    claims = _base64(f'{{"sub":"{_drawn(dice, 12)}"}}')
    words = {
        "s": secret,
        "a": access,
        "b": _base64(secret),
        "q": quote(f"{secret}/+"),
        "h": secret.encode().hex(),
        "l": secret[:12],
        "r": secret[12:],
        "j": ".".join((_base64('{"alg":"HS256"}'), claims, _base64(secret))),
    }
    name = f"planted-{n:02d}"
    arguments = tuple(each.replace("~", " ").format(**words) for each in shape.split(" "))
    needles = {secret, words["b"], words["h"]}
    needles |= {words[key] for key in "lr" if f"{{{key}}}" in shape}
    needles |= {access} if "{a}" in shape else set()
    needles |= {claims} if "{j}" in shape else set()
    return Planted(name=name, argv=(name, *arguments), needles=tuple(sorted(needles)))


def found(haystack: bytes, plants: tuple[Planted, ...]) -> Iterator[tuple[str, str]]:
    """Each needle of each plant that is in there, as `(name of the plant, needle)`."""
    for plant in plants:
        for needle in plant.needles:
            if needle.encode() in haystack:
                yield plant.name, needle


def _drawn(dice: random.Random, length: int) -> str:
    return "".join(dice.choice(_LETTERS) for _ in range(length))


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode().rstrip("=")
