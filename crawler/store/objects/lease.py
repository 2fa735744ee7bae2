"""The lease: an object by which one run at a time writes below a prefix, and by which it learns that it no longer does.

Made and replaced by conditional puts alone (If-None-Match, If-Match), so that of two that try, one is refused. It runs
out unless it is renewed, as that of a run whose machine is gone. Clocks that differ may give it away early, and then
the run that had it finds that out at its next renewal, before it acknowledges anything more. Time comes in as a value.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from crawler.exceptions import OtherRunError, StoreError
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

    until_s: by the holder's clock, since 1970; 0 once it was given back. renewed: how often. killed: whether a run that
    had it never gave it back, so that there may be objects that no row names.
    """

    holder: str
    token: str
    who: str
    until_s: float
    renewed: int = 0
    killed: bool = False

    @classmethod
    def read(cls, data: bytes, where: str) -> Self:
        """Raises StoreError for what no run wrote."""
        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError) as exc:
            raise StoreError(f"{where}/{NAME} is not what a run wrote: {exc}") from exc

    def data(self) -> bytes:
        return json.dumps(asdict(self)).encode()


class Lease:
    """A prefix that is held. Used by one thread at a time. found: what it was before, None for a new prefix."""

    def __init__(self, client: Client, terms: Terms, etag: str, found: Terms | None) -> None:
        self._client = client
        self.terms = terms
        self.found = found
        self._etag = etag

    @classmethod
    def take(cls, client: Client, *, known: str, new: str, token: str, who: str, now_s: float) -> Self:
        """Take it. known: the holder that we were, "" for none: our own lease need not run out. new: who we are else.

        Raises OtherRunError while another run holds it, StoreError.
        """
        there = client.get(NAME)
        found = None if there is None else Terms.read(there[0], client.url)
        if found is not None and found.holder != known and now_s < found.until_s + SKEW_S:
            raise _held(client, found)
        killed = found is not None and (found.killed or found.until_s != 0)
        holder = known if known and (found is None or found.holder == known) else new
        terms = Terms(holder=holder, token=token, who=who, until_s=now_s + RUNS_OUT_S, killed=killed)
        lease = cls(client, terms, there[1] if there is not None else "", found)
        try:
            lease._etag = client.put_if(NAME, terms.data(), there[1] if there is not None else None)
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
            self._etag = self._client.put_if(NAME, terms.data(), self._etag)
            self.terms = terms
        except ConflictError:
            self._confirm()

    def _confirm(self) -> None:
        """After a refusal: it is still ours if an answer to us was lost. Raises OtherRunError."""
        self.terms, self._etag = confirm(self._client, self.terms.token)


def confirm(client: Client, token: str) -> tuple[Terms, str]:
    """What the lease says, and its tag. Raises OtherRunError when another run's token is in it, StoreError."""
    there = client.get(NAME)
    if there is None:
        raise OtherRunError(f"{client.url}/{NAME} was removed: whoever did so lets a second run in")
    terms = Terms.read(there[0], client.url)
    if terms.token != token:
        raise _held(client, terms)
    return terms, there[1]


def _held(client: Client, terms: Terms) -> OtherRunError:
    until = datetime.fromtimestamp(terms.until_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return OtherRunError(
        f"another run holds {client.url}: {terms.who}, until {until} unless it renews that; wait for it, or stop it"
    )
