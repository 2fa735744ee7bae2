"""A run's hold on a prefix: the lease taken and renewed, the ledger brought here, copied there, given back at the end.

The ledger is a file of the working directory while a run writes it. A copy of it is put now and then, and at the end
with the files beside it, so that a run on another machine can go on from there. What a lost machine had not copied is
fetched again; the directory that wrote last goes on from its own ledger, which is never behind the copy.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final, Self
from uuid import uuid4

from crawler.exceptions import ApiFetchError, OtherListError, OtherRunError, StoreError
from crawler.store.ledger import NAME
from crawler.store.objects.address import Mark, mark_of
from crawler.store.objects.client import AT_START_S, PATIENCE_S, Client
from crawler.store.objects.lease import NAME as LEASE
from crawler.store.objects.lease import RENEWED_S, Lease

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COPIED_S: Final = 300.0
"""How often the ledger is copied: what a lost machine costs is the calls of that time."""

SHARE: Final = 9
"""And never sooner than so many times what the last copy took: a large ledger takes a tenth of the time at most."""

BESIDE: Final = ("failed.jsonl", "invalid.jsonl", "changes.jsonl", "report.html", "summary.json")
"""What is put at the end, in that order: where summary.json says that a run is over, all the rest is there."""


class Upkeep:
    """A prefix that a run holds. All but its own threads call it from one thread.

    directory: the working directory, held by the caller. restored: whether the ledger was brought from the store.
    """

    def __init__(self, directory: Path, client: Client, lease: Lease, lost: Callable[[ApiFetchError], None]) -> None:
        self._directory = directory
        self._client = client
        self._lease = lease
        self._lost = lost
        self._lock = threading.Lock()  # around the lease
        self._copying = threading.Lock()  # one after the other, so that the last one put is the last one made
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self.restored = False

    @classmethod
    def take(
        cls, url: str, directory: Path, *, lost: Callable[[ApiFetchError], None], patience_s: float = PATIENCE_S
    ) -> Self:
        """Hold the prefix, and have the latest ledger in *directory*. lost: called in a thread of ours when it is lost.

        Raises OtherRunError while another run holds it, OtherListError when the directory is another's, StoreError,
        ArgumentError for a URL that is none, or when obstore is missing.
        """
        mark = mark_of(directory)
        if mark is not None and mark.url != url:
            raise OtherListError(f"{directory} belongs to {mark.url}, you gave {url}: take another with APIFETCH_LOCAL")
        if mark is None and (directory / NAME).exists():
            raise OtherListError(
                f"{directory} has records of its own, and is to be the working directory of {url}: take another with "
                "APIFETCH_LOCAL"
            )
        with closing(Client(url, patience_s=min(AT_START_S, patience_s))) as hasty:
            hasty.get(LEASE)  # whether anybody answers
        client = Client(url, patience_s=patience_s)
        try:
            return cls._take(client, directory, mark, lost, patience_s)
        except BaseException:
            client.close()
            raise

    @classmethod
    def _take(
        cls, client: Client, directory: Path, mark: Mark | None, lost: Callable[[ApiFetchError], None],
        patience_s: float,
    ) -> Self:  # fmt: skip
        known, token = mark.holder if mark is not None else "", uuid4().hex
        who = f"process {os.getpid()} on {socket.gethostname()}"
        lease = Lease.take(client, known=known, new=uuid4().hex, token=token, who=who, now_s=time.time())
        holder, killed = lease.terms.holder, lease.terms.killed
        upkeep = cls(directory, client, lease, lost)
        upkeep._start(upkeep._renew, lambda _: RENEWED_S)  # a large ledger takes longer to come than a lease lasts
        try:
            if holder != known:
                upkeep._restore()
            Mark(url=client.url, holder=holder, token=token, killed=killed, patience_s=patience_s).write(directory)
        except BaseException:
            upkeep.close(clean=True)
            raise
        return upkeep

    def _restore(self) -> None:
        """Have the store's ledger in the directory, instead of an older one."""
        for ending in ("-wal", "-shm", ""):  # the log first: it must not be taken for that of the new one
            with suppress(FileNotFoundError):
                (self._directory / f"{NAME}{ending}").unlink()
        self.restored = self._client.fetch(NAME, self._directory / NAME)

    # While it runs

    def watch(self, *, copied_s: float = COPIED_S) -> None:
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
            with self._lock:
                self._lease.renew(time.time())
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
            self._copy_ledger()

    def _copy_ledger(self) -> None:
        copy = self._directory / ".ledger.copy"
        try:
            copy.unlink(missing_ok=True)
            with closing(sqlite3.connect(self._directory / NAME)) as db, closing(sqlite3.connect(copy)) as to:
                to.execute("PRAGMA synchronous=OFF")  # it is gone in a moment
                db.backup(to)
                to.execute("PRAGMA journal_mode=DELETE")  # whoever gets it has one file, which needs no other
            with self._lock:
                self._lease.renew(time.time())  # nothing of ours over what another run has put
            self._client.put(NAME, copy)
        except (OSError, sqlite3.Error) as exc:
            raise StoreError(f"cannot copy {self._directory / NAME}: {exc}") from exc
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
            self.put_file(name)

    def put_file(self, name: str) -> None:
        """Put a file of the directory, if it is there. Raises StoreError."""
        path = self._directory / name
        if path.is_file() and not path.is_symlink():
            self._client.put(name, path)

    def close(self, *, clean: bool) -> None:
        """Let the next run in. clean: no object was put whose row is not there."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        with suppress(ApiFetchError):  # then it runs out
            self._lease.give_back(clean=clean)
        self._client.close()
