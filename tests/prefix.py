"""A prefix of a real object store: crawls into it from one machine or another, and what whoever has its keys sees.

A machine is a folder. Needs obstore. Knows the output's public face only (docs/object-stores.md), and the lease.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from crawler.items import WHOLE
from crawler.store.objects.client import Client
from crawler.store.objects.lease import NAME, Terms, read
from tests.harness import Output, write_list
from tests.weed import names_of

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.items import Shard
    from tests.harness import Crawl
    from tests.weed import Weed


class Prefix:
    """`s3://bucket/{name}`. folder: where the machines are. The store's variables must be in our environment, too."""

    def __init__(self, weed: Weed, name: str, folder: Path, crawl: Crawl) -> None:
        self.url = f"s3://bucket/{name}"
        self.client = Client(self.url, patience_s=20)
        self.environment: dict[str, Any] = weed.environment
        self._folder = folder
        self._crawl = crawl

    # Runs

    def machine(self, name: str) -> Output:
        """Its working directory."""
        return Output(self._folder / name / "s3" / "bucket" / self.url.rpartition("/")[2])

    def fetch(self, lines: list[str], machine: str = "here", **how: Any) -> Any:
        """A crawl, started or to its end, as `Crawl` has it."""
        urls = write_list(self._folder / "items.txt", lines)
        settings = {"APIFETCH_LOCAL": self._folder / machine, **how.pop("settings", {})}
        return self._crawl(urls, out=self.url, settings=settings, env=self.environment, **how)

    # What is there

    def objects(self) -> dict[str, bytes]:
        """Every object, by its name below the prefix."""
        names = sorted(names_of(self.client))
        found = [future.result() for future in [self.client.soon(self.client.get, name) for name in names]]
        return {name: there[0] for name, there in zip(names, found, strict=True) if there is not None}

    def summary(self, shard: Shard = WHOLE) -> dict[str, Any]:
        there = self.client.get(shard.file("summary.json"))
        assert there is not None
        said: dict[str, Any] = json.loads(there[0])
        return said

    def copied(self, shard: Shard = WHOLE) -> int:
        """Records that are ok in the copy of the ledger, 0 without one."""
        path = self._folder / "looked-at.sqlite"
        if not self.client.fetch(shard.file("ledger.sqlite"), path):
            return 0
        with closing(sqlite3.connect(path)) as db:
            return int(db.execute("select count(*) from calls where outcome = 'ok'").fetchone()[0])

    def rows(self, folder: Path) -> list[dict[str, Any]]:
        """The rows of the copied ledger."""
        copy = folder / "copied.sqlite"
        assert self.client.fetch("ledger.sqlite", copy)
        with closing(sqlite3.connect(copy)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute("select * from records")]

    def audit(self, folder: Path) -> list[dict[str, Any]]:
        """The rows of the copied ledger: each one's object is there and whole, and nothing else is."""
        objects, rows = self.objects(), self.rows(folder)
        bodies = bodies_of(objects)
        assert {row["location"] for row in rows if row["location"]} == set(bodies)
        for row in rows:
            if row["location"]:
                assert hashlib.sha256(bodies[row["location"]]).hexdigest() == row["file_digest"]
                assert row["location"].startswith("responses/") == (row["outcome"] == "ok")
        return rows

    # The lease

    def terms(self, shard: Shard = WHOLE) -> Terms:
        there = read(self.client, shard.file(NAME))
        assert there is not None
        return there[0]

    def let_the_lease_run_out(self, shard: Shard = WHOLE) -> None:
        """What time does to the lease of a machine that is gone."""
        self.client.put(shard.file(NAME), replace(self.terms(shard), until_s=time.time() - 3600).data())


def bodies_of(objects: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in objects.items() if name.startswith(("responses/", "errors/"))}


def alike(rows: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
    """What two runs of one list have in common. Digests are bytes in the view, however it is read."""
    return {tuple(row[name] for name in ("line", "uuid", "outcome", "status", "location", "sha256")) for row in rows}


def count(output: Output) -> int:
    """Records that are ok in the ledger of a machine."""
    return int(output.rows("select count(*) as n from calls where outcome = 'ok'")[0]["n"])


def wait_for_the_writer(out: Path) -> None:
    """Return when the writer of a run that was killed has ended: it gives the directory's lock back."""
    fd = os.open(out, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.close(fd)
