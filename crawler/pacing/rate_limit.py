"""What a response says about its limits, in the dialects that are in use.

    RateLimit: "default";r=50;t=30        RateLimit-Policy: "default";q=100;w=60
        draft-ietf-httpapi-ratelimit-headers from -08 on, structured fields
    RateLimit: limit=100, remaining=50, reset=5        RateLimit-Policy: 100;w=60        draft -07
    RateLimit-Limit: 100, 100;w=60        RateLimit-Remaining: 50        RateLimit-Reset: 5        up to -06
    X-RateLimit-Limit, -Remaining, -Reset        GitHub: seconds since 1970; others: seconds from now
    X-Rate-Limit-... (Twitter), ...-Minute (Kong), ...-Requests (OpenAI, "6m0s"), ...-Reset-After (Discord)

Owns: reading them. Hints only: what cannot be read is left out, as the draft asks, and nothing ever
raises. No rate is made of remaining and reset (the draft's own example would be wrong by a hundred).
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from crawler.pacing.fields import Member, members, number
from crawler.pacing.retry_after import http_date_s, sane_s

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """A limit as the host tells it; None: not said.

    limit: calls per window. remaining: calls left of them. window_s: the window's length in seconds.
    reset_s: whole seconds from now until it begins anew, rounded up, at most a year. header: where it was said,
    in lower case; for people, and no part of what is said.
    """

    limit: int | None = None
    remaining: int | None = None
    window_s: int | None = None
    reset_s: float | None = None
    header: str = field(default="", compare=False)

    @property
    def _looseness(self) -> tuple[float, float, float]:
        """The smaller, the more it binds: what is used up (for longest) first, then what is nearest to it."""
        left = math.inf if self.remaining is None else float(self.remaining)
        rest_s = 0.0 if self.reset_s is None else self.reset_s
        per_s = self.limit / self.window_s if self.limit is not None and self.window_s else math.inf
        return left, -rest_s, per_s


_NAMED: Final = re.compile(
    r"(?:x-)?rate-?limit-(?P<what>limit|remaining|reset)(?P<after>-after)?"
    r"(?:-(?P<window>second|minute|hour|day|month|requests|ms))?"
)
_WINDOWS_S: Final = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "month": 30 * 86_400}

_EPOCH: Final = 10**9
"""From here on a number is a time since 1970 (this one was in 2001); as seconds from now it is 31 years."""
_EPOCH_MS: Final = 10**12
_DURATION: Final = re.compile(
    r"(?:(?P<h>[0-9]{1,5})h)?(?:(?P<m>[0-9]{1,5})m(?!s))?(?:(?P<s>[0-9]{1,9}(?:\.[0-9]{1,9})?)s)?"
    r"(?:(?P<ms>[0-9]{1,9}(?:\.[0-9]{1,9})?)ms)?"
)


def read_hint(headers: Iterable[tuple[bytes, bytes]], *, wall_s: float) -> Hint | None:
    """Give the limit that binds most, None when the response says nothing that can be read.

    headers: all of the response's, (name, value), a name as often as it was there. wall_s: our seconds
    since 1970, against which a time of reset is measured when there is no readable Date.
    """
    ours: list[tuple[str, bytes]] = []
    date = None
    for name, value in headers:
        lower = name.lower()
        if b"rate" in lower and b"limit" in lower:
            ours.append((lower.decode("latin-1"), value))
        elif lower == b"date":
            date = value
    if not ours:
        return None
    now_s = http_date_s(date, wall_s=wall_s) if date is not None else None
    hints = [*_structured(ours), *_named(ours, wall_s if now_s is None else now_s)]
    return min((hint for hint in hints if hint != _NOTHING), key=lambda hint: hint._looseness, default=None)  # noqa: SLF001  # its own module's


_NOTHING: Final = Hint()


def _structured(headers: list[tuple[str, bytes]]) -> Iterator[Hint]:
    """RateLimit and RateLimit-Policy. A policy that counts anything but requests is left out."""
    policies: dict[str, Hint] = {}
    of_bytes: set[str] = set()
    for member in _members(headers, "ratelimit-policy"):
        if member.params.get("qu", "requests") != "requests":
            of_bytes.add(member.name)
            continue
        calls = number(member.params.get("q", member.name))  # draft -07: the number stands first
        window_s = number(member.params.get("w"))
        policies[member.name] = Hint(limit=_whole(calls), window_s=_whole(window_s) or None)
    pairs: dict[str, str] = {}
    for member in _members(headers, "ratelimit"):
        if member.value is not None:  # draft -07: limit=100, remaining=50
            pairs.setdefault(member.name, member.value)
        elif member.name not in of_bytes:
            policy = policies.pop(member.name, _NOTHING)
            reset_s = _from_now(member.params.get("t"))
            yield replace(policy, remaining=_whole(number(member.params.get("r"))), reset_s=reset_s, header="ratelimit")
    yield Hint(
        limit=_whole(number(pairs.get("limit"))),
        remaining=_whole(number(pairs.get("remaining"))),
        reset_s=_from_now(pairs.get("reset")),
        header="ratelimit",
    )
    yield from policies.values()


def _named(headers: list[tuple[str, bytes]], now_s: float) -> Iterator[Hint]:
    """Give a hint for each family of -Limit, -Remaining, -Reset, and one for each policy that -Limit lists."""
    families: defaultdict[str, Hint] = defaultdict(Hint)
    for name, value in headers:
        match = _NAMED.fullmatch(name)
        if match is None:
            continue
        window = match["window"] or ""
        family = window if window in _WINDOWS_S else name[0]  # x- and the draft's may differ
        hint = families[family]
        if hint.window_s is None and window in _WINDOWS_S:
            hint = replace(hint, window_s=_WINDOWS_S[window])
        if match["what"] == "reset":
            reset_s = _reset(value, now_s, in_ms=window == "ms")
            families[family] = _with(hint, reset_s=reset_s, is_surer=bool(match["after"]))
            continue
        said = members(value)
        first = _whole(number(said[0].name)) if said else None
        if match["what"] == "remaining":
            families[family] = replace(hint, remaining=_least(hint.remaining, first), header=name)
        else:
            families[family] = replace(hint, limit=_least(hint.limit, first), header=hint.header or name)
            for member in said:
                if window_s := _whole(number(member.params.get("w"))):
                    yield Hint(limit=_whole(number(member.name)), window_s=window_s)
    yield from families.values()


def _with(hint: Hint, *, reset_s: float | None, is_surer: bool) -> Hint:
    """Take the longer reset of two; one from -Reset-After, which cannot be mistaken, in any case."""
    if reset_s is None or (hint.reset_s is not None and not is_surer and hint.reset_s > reset_s):
        return hint
    return replace(hint, reset_s=reset_s)


def _least(one: int | None, other: int | None) -> int | None:
    return min((calls for calls in (one, other) if calls is not None), default=None)


def _members(headers: list[tuple[str, bytes]], wanted: str) -> Iterator[Member]:
    for name, value in headers:
        if name == wanted:
            yield from members(value)


def _reset(value: bytes, now_s: float, *, in_ms: bool) -> float | None:
    """Give the seconds until a reset that is told as a time, a number from now, or a duration."""
    text = value[:100].decode("latin-1").strip(" \t")
    amount = number(text)
    if amount is None:
        at_s = http_date_s(value, wall_s=now_s)
        return _duration(text) if at_s is None else sane_s(at_s - now_s)
    if amount >= _EPOCH_MS:
        return sane_s(amount / 1000 - now_s)
    if amount >= _EPOCH:
        return sane_s(amount - now_s)
    return sane_s(amount / 1000 if in_ms else amount)


def _duration(text: str) -> float | None:
    """Give the seconds of `6m0s`, `1.5s`, `20ms` (Go's way of writing them); None when it is none."""
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        return None
    hours, minutes, seconds, ms = (float(match[unit] or 0) for unit in ("h", "m", "s", "ms"))
    return sane_s(hours * 3_600 + minutes * 60 + seconds + ms / 1000)


def _from_now(text: str | None) -> float | None:
    """Give the draft's seconds, which are always from now."""
    amount = number(text)
    return None if amount is None else sane_s(amount)


def _whole(amount: float | None) -> int | None:
    """Round down: half a call is none."""
    return None if amount is None else int(amount)
