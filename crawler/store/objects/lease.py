"""The lease: an object by which one run at a time writes below a prefix, and by which it learns that it no longer does.

A list that is taken in parts has one for each part: `lease-3-of-8.json`.

Made and replaced by conditional puts alone (If-None-Match, If-Match), so that of two that try, one is refused. It runs
out unless it is renewed, as that of a run whose machine is gone. Clocks that differ may give it away early, and then
the run that had it finds that out at its next renewal, before it acknowledges anything more. Time comes in as a value.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from crawler.exceptions import OtherRunError, StoreError
from crawler.items import WHOLE
from crawler.store.objects.client import ConflictError

if TYPE_CHECKING:
    from crawler.store.objects.client import Client

NAME: Final = "lease.json"

RUNS_OUT_S: Final = 60.0
RENEWED_S: Final = 15.0  # so that three in a row may fail

SKEW_S: Final = 15.0
"""How far the clocks of two machines may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the object says. holder: the working directory that the run has. token: of the run. who: for a person.

    part: of which part of the list the run is, which is another than the lease's while records change hands. until_s:
    by the holder's clock, since 1970; 0 once it was given back. renewed: how often. killed: whether a run that had it
    never gave it back, so that there may be objects that no row names.
    """

    holder: str
    token: str
    who: str
    until_s: float
    part: str = str(WHOLE)
    renewed: int = 0
    killed: bool = False

    @classmethod
    def read(cls, data: bytes, where: str) -> Self:
        """Raises StoreError for what no run wrote. where: the object's URL."""
        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError) as exc:
            raise StoreError(f"{where} is not what a run wrote: {exc}") from exc

    def is_over(self, now_s: float) -> bool:
        """Whether it has run out, or was given back."""
        return now_s >= self.until_s + SKEW_S

    def data(self) -> bytes:
        return json.dumps(asdict(self)).encode()


class Lease:
    """A prefix that is held, or a part of it. Used by one thread at a time. name: of the object."""

    def __init__(self, client: Client, name: str, terms: Terms, etag: str) -> None:
        self._client = client
        self._name = name
        self.terms = terms
        self._etag = etag

    @classmethod
    def take(
        cls, client: Client, *, known: str, new: str, token: str, who: str, now_s: float, name: str = NAME,
        part: str = str(WHOLE),
    ) -> Self:  # fmt: skip
        """Take it. known: the holder that we were, "" for none: our own lease need not run out. new: who we are else.

        Raises OtherRunError while another run holds it, StoreError.
        """
        there = read(client, name)
        found = None if there is None else there[0]
        if found is not None and found.holder != known and not found.is_over(now_s):
            raise held(client, found)
        killed = found is not None and (found.killed or found.until_s != 0)
        holder = known if known and (found is None or found.holder == known) else new
        terms = Terms(holder=holder, token=token, who=who, until_s=now_s + RUNS_OUT_S, part=part, killed=killed)
        etag = there[1] if there is not None else None
        lease = cls(client, name, terms, etag or "")
        try:
            lease._etag = client.put_if(name, terms.data(), etag)
        except ConflictError:
            lease._confirm()  # it may have been our own, whose answer was lost
        return lease

    def renew(self, now_s: float) -> None:
        """Hold it for longer. Raises StoreError: then it is lost, or nobody can tell."""
        self._put(replace(self.terms, until_s=now_s + RUNS_OUT_S, renewed=self.terms.renewed + 1))

    def give_back(self, *, clean: bool) -> None:
        """Let the next run have it at once. clean: no object was put whose row is not there. Raises StoreError."""
        killed = self.terms.killed or not clean
        self._put(replace(self.terms, until_s=0.0, renewed=self.terms.renewed + 1, killed=killed))

    def _put(self, terms: Terms) -> None:
        try:
            self._etag = self._client.put_if(self._name, terms.data(), self._etag)
            self.terms = terms
        except ConflictError:
            self._confirm()

    def _confirm(self) -> None:
        """After a refusal: it is still ours if an answer to us was lost. Raises OtherRunError."""
        self.terms, self._etag = confirm(self._client, self.terms.token, self._name)


def read(client: Client, name: str) -> tuple[Terms, str] | None:
    """What a lease says, and its tag; None when there is none. Raises StoreError."""
    there = client.get(name)
    return None if there is None else (Terms.read(there[0], f"{client.url}/{name}"), there[1])


def confirm(client: Client, token: str, name: str = NAME) -> tuple[Terms, str]:
    """What the lease says, and its tag. Raises OtherRunError when another run's token is in it, StoreError."""
    there = read(client, name)
    if there is None:
        raise OtherRunError(f"{client.url}/{name} was removed: whoever did so lets a second run in")
    if there[0].token != token:
        raise held(client, there[0])
    return there


class Confirmation:
    """Asked before and after whatever is written: a machine that slept for longer than its lease must not go on."""

    def __init__(self, client: Client, token: str, name: str) -> None:
        self._client, self._token, self._name = client, token, name
        self._confirmed_s = time.monotonic()

    def renew(self) -> None:
        """Ask the store, not more often than the lease is renewed. Raises StoreError when it is another run's."""
        if time.monotonic() - self._confirmed_s < RENEWED_S:
            return
        try:
            confirm(self._client, self._token, self._name)
        except OtherRunError as exc:
            raise StoreError(str(exc)) from exc
        self._confirmed_s = time.monotonic()


def held(client: Client, terms: Terms) -> OtherRunError:
    """The error that says who has a prefix, or a part of it."""
    until = datetime.fromtimestamp(terms.until_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    what = "" if terms.part == str(WHOLE) else f"part {terms.part} of "
    return OtherRunError(
        f"another run holds {what}{client.url}: {terms.who}, until {until} unless it renews that; wait for it, "
        "or stop it"
    )
