"""A run's hold on a prefix: taken, renewed, the ledger copied there now and then, given back at the end.

The ledger is a file of the working directory while a run writes it. A copy of it is put now and then, and at the end
with the files beside it, so that a run on another machine can go on from there. What a lost machine had not copied is
fetched again; the directory that wrote last goes on from its own ledger, which is never behind the copy.
Which run may have the prefix, and which ledger it begins with, is `prefix`'s.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final, Self

from crawler.exceptions import ApiFetchError, OtherListError, OtherRunError, StoreError
from crawler.items import WHOLE, Shard
from crawler.store.ledger import NAME
from crawler.store.ledgers import ledgers
from crawler.store.objects.address import store_of
from crawler.store.objects.client import AT_START_S, PATIENCE_S, Client, ConflictError
from crawler.store.objects.lease import NAME as LEASE
from crawler.store.objects.lease import RENEWED_S
from crawler.store.objects.prefix import Prefix

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHARE: Final = 9
"""The ledger is copied no sooner than after so many times what the last copy took: a tenth of the time at most."""

TOLD: Final = ("failed.jsonl", "invalid.jsonl", "changes.jsonl", "summary.json")
"""What is made of a ledger, each part's of its own."""

BESIDE: Final = ("report.html", *TOLD)
"""What is put at the end, in that order: where summary.json says that a run is over, all the rest is there."""

OUTPUT: Final = "output.json"
"""The object that says which list the prefix belongs to, as a ledger does, to parts that begin on other machines."""


class Upkeep:
    """A prefix that a run holds. All but its own threads call it from one thread.

    directory: the working directory, held by the caller. shard: the run's part. prefix: what it holds.
    """

    def __init__(
        self, directory: Path, client: Client, shard: Shard, prefix: Prefix, lost: Callable[[ApiFetchError], None]
    ) -> None:
        self._directory = directory
        self._client = client
        self._shard = shard
        self._prefix = prefix
        self._lost = lost
        self._copying = threading.Lock()  # one after the other, so that the last one put is the last one made
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    @classmethod
    def take(
        cls, url: str, directory: Path, shard: Shard = WHOLE, *, lost: Callable[[ApiFetchError], None],
        patience_s: float = PATIENCE_S,
    ) -> Self:  # fmt: skip
        """Hold the part of the prefix, and have in *directory* the latest ledgers that may have records of it.

        lost: called in a thread of ours when it is lost. Raises OtherRunError while another run holds it,
        OtherListError when the directory is another's, StoreError, ArgumentError for a URL that is none, or when
        obstore is missing.
        """
        theirs = store_of(directory)
        if theirs is not None and theirs != url:
            raise OtherListError(f"{directory} belongs to {theirs}, you gave {url}: take another with APIFETCH_LOCAL")
        if theirs is None and ledgers(directory):
            raise OtherListError(
                f"{directory} has records of its own, and is to be the working directory of {url}: take another with "
                "APIFETCH_LOCAL"
            )
        with closing(Client(url, patience_s=min(AT_START_S, patience_s))) as hasty:
            hasty.get(LEASE)  # whether anybody answers
        client = Client(url, patience_s=patience_s)
        prefix = Prefix(client, directory, shard, patience_s=patience_s)
        upkeep = cls(directory, client, shard, prefix, lost)
        upkeep._start(upkeep._renew, lambda _: RENEWED_S)  # a large ledger takes longer to come than a lease lasts
        try:
            prefix.take(shard)
            prefix.take_others()
        except BaseException:
            upkeep.close(clean=True)
            raise
        return upkeep

    def claim(self, identity: str) -> str:
        """Say whose output this is, if nobody has; returns what is said of it. Raises StoreError."""
        try:
            self._client.put_if(OUTPUT, identity.encode(), None)
        except ConflictError:
            there = self._client.get(OUTPUT)
            return identity if there is None else there[0].decode(errors="replace")
        return identity

    def change_hands(self) -> None:
        """Put what became of the ledgers from which records came into ours; ours first. Raises StoreError."""
        others = self._prefix.others
        if others:
            self.copy_ledger()
        for shard in others:
            name = shard.file(NAME)
            if (self._directory / name).exists():
                self._copy_ledger(shard)
            else:  # it has given all away
                self._client.remove(name, *map(shard.file, TOLD))
            self._prefix.give_back([shard])

    # While it runs

    def watch(self, *, copied_s: float) -> None:
        """Copy the ledger now and then."""
        self._start(self._copy, lambda took_s: max(copied_s, SHARE * took_s))

    def _start(self, do: Callable[[], bool], wait_s: Callable[[float], float]) -> None:
        """Do it again and again, until it is false. wait_s: before the next time, by what the last one took."""

        def go_on() -> None:
            took_s, goes_on = 0.0, True
            while goes_on and not self._over.wait(wait_s(took_s)):
                started_s = time.monotonic()
                goes_on = do()
                took_s = time.monotonic() - started_s

        thread = threading.Thread(target=go_on, name=do.__name__, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _renew(self) -> bool:
        try:
            self._prefix.renew()
        except OtherRunError as exc:
            self._lost(exc)
            return False
        except StoreError:  # it is down: nobody else can take it either, and the writer says so in time
            return True
        return True

    def _copy(self) -> bool:
        with suppress(StoreError):  # the next copy, or the last one
            self.copy_ledger()
        return True

    def copy_ledger(self) -> None:
        """Put the ledger as of its last commit. Raises StoreError."""
        with self._copying:
            self._copy_ledger(self._shard)

    def _copy_ledger(self, shard: Shard) -> None:
        name = shard.file(NAME)
        copy = self._directory / f".{name}.copy"
        try:
            copy.unlink(missing_ok=True)
            with closing(sqlite3.connect(self._directory / name)) as db, closing(sqlite3.connect(copy)) as to:
                to.execute("PRAGMA synchronous=OFF")  # it is gone in a moment
                db.backup(to)
                to.execute("PRAGMA journal_mode=DELETE")  # whoever gets it has one file, which needs no other
            self._prefix.renew(shard)  # nothing of ours over what another run has put
            self._client.put(name, copy)
        except (OSError, sqlite3.Error) as exc:
            raise StoreError(f"cannot copy {self._directory / name}: {exc}") from exc
        except OtherRunError as exc:
            raise StoreError(str(exc)) from exc
        finally:
            with suppress(OSError):
                copy.unlink(missing_ok=True)

    # The end

    def hand_over(self) -> None:
        """Put the ledger, which is closed, and what is beside it. Raises StoreError."""
        self.copy_ledger()
        for name in BESIDE:
            self.put_file(self._shard.file(name))

    def put_file(self, name: str, *, gone: bool = False) -> None:
        """Put a file of the directory, if it is there. gone: remove the object if it is not. Raises StoreError."""
        path = self._directory / name
        if path.is_file() and not path.is_symlink():
            self._client.put(name, path)
        elif gone:
            self._client.remove(name)

    def close(self, *, clean: bool) -> None:
        """Let the next run in. clean: no object was put whose row is not there."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._prefix.give_back(clean=clean)
        self._client.close()
