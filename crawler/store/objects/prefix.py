"""The prefix as a place, as `store.place` is of a directory: held by one run, or by the parts of one list.

Owns who may be there at one time, on whatever machines, and which ledger is the latest: that of the directory that had
the ledger's lease last, else the store's copy. Two that come at one time are both refused rather than both let in:
each puts its lease before it looks at the others'.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from crawler.exceptions import ApiFetchError, OtherRunError
from crawler.items import Shard
from crawler.store.ledger import NAME as LEDGER
from crawler.store.objects.address import Mark, mark_of
from crawler.store.objects.lease import NAME as LEASE
from crawler.store.objects.lease import Lease, Terms, held, read

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.store.objects.client import Client

WAIT_S: Final = 1.0
"""How often a part looks whether another one has let go of a ledger that both take records from."""


class Prefix:
    """What one run holds of a prefix. `renew` may be called by a thread of its own.

    directory: the working directory, held by the caller. shard: of the run. patience_s: for the mark.
    """

    def __init__(self, client: Client, directory: Path, shard: Shard, *, patience_s: float) -> None:
        self._client = client
        self._directory = directory
        self._shard = shard
        self._patience_s = patience_s
        self._token = uuid4().hex
        self._who = f"process {os.getpid()} on {socket.gethostname()}"
        self._leases: dict[Shard, Lease] = {}
        self._lock = threading.Lock()  # around the leases

    @property
    def others(self) -> list[Shard]:
        """Whose ledgers are held besides the run's own: records of the run's part may be in them."""
        return [shard for shard in self._leases if shard != self._shard]

    def take(self, shard: Shard) -> None:
        """Hold a part, and have its latest ledger in the directory, if there is one.

        Raises OtherRunError while another run holds it, StoreError.
        """
        mark = mark_of(self._directory, shard)
        known = mark.holder if mark is not None else ""
        with self._lock:
            lease = self._leases[shard] = Lease.take(
                self._client, known=known, new=uuid4().hex, token=self._token, who=self._who, now_s=time.time(),
                name=shard.file(LEASE), part=str(self._shard),
            )  # fmt: skip
        if lease.terms.holder != known:
            self._restore(shard.file(LEDGER))
        self._mark(shard, lease.terms)

    def _restore(self, name: str) -> None:
        """Have the store's ledger in the directory, instead of an older one."""
        for ending in ("-wal", "-shm", ""):  # the log first: it must not be taken for that of the new one
            (self._directory / f"{name}{ending}").unlink(missing_ok=True)
        self._client.fetch(name, self._directory / name)

    def _mark(self, shard: Shard, terms: Terms) -> None:
        mark = Mark(
            url=self._client.url, holder=terms.holder, token=terms.token, killed=terms.killed,
            patience_s=self._patience_s,
        )  # fmt: skip
        mark.write(self._directory, shard)

    def take_others(self) -> None:
        """Hold what runs of another number of parts have left, so that records can change hands.

        Raises OtherRunError while one of them is on, StoreError. Waits for parts of our own number, which do the same.
        """
        names = self._client.names()
        self._refuse_runs(names)
        names.update(path.name for path in self._directory.iterdir())
        for shard in Shard.among(names, LEDGER):
            if shard.count != self._shard.count:
                self._take_when_free(shard)
        own = self._leases[self._shard]
        if not own.terms.killed and any(self._leases[shard].terms.killed for shard in self.others):
            own.terms = replace(own.terms, killed=True)  # the objects that no row names may be of our part
            self._mark(self._shard, own.terms)

    def _refuse_runs(self, names: set[str]) -> None:
        asked = {
            shard: self._client.soon(read, self._client, shard.file(LEASE))
            for shard in Shard.among(names, LEASE)
            if shard.count != self._shard.count
        }
        for shard, answer in asked.items():
            there = answer.result()
            if there is not None and self._is_on(shard, there[0]) and not self._is_like_us(there[0]):
                raise held(self._client, there[0])

    def _is_on(self, shard: Shard, terms: Terms) -> bool:
        """Whether the run that took a lease may still be there; one of our own directory is not, since we hold that."""
        mark = mark_of(self._directory, shard)
        return not terms.is_over(time.time()) and (mark is None or mark.holder != terms.holder)

    def _is_like_us(self, terms: Terms) -> bool:
        return terms.part.partition("/")[2] == str(self._shard.count)

    def _take_when_free(self, shard: Shard) -> None:
        while True:
            try:
                self.take(shard)
            except OtherRunError:
                there = read(self._client, shard.file(LEASE))
                if there is not None and not self._is_like_us(there[0]) and not there[0].is_over(time.time()):
                    raise
                time.sleep(WAIT_S)
            else:
                return

    # While it is held

    def renew(self, *shards: Shard) -> None:
        """Hold it for longer: these parts, or all. Raises OtherRunError when it is lost, StoreError."""
        with self._lock:
            for shard in shards or tuple(self._leases):
                self._leases[shard].renew(time.time())

    def give_back(self, shards: list[Shard] | None = None, *, clean: bool = True) -> None:
        """Let others have these parts, or all, at once. clean: no object was put whose row is not there."""
        with self._lock:
            for shard in shards if shards is not None else [*self._leases]:
                with suppress(ApiFetchError):  # then it runs out
                    self._leases.pop(shard).give_back(clean=clean or shard != self._shard)
