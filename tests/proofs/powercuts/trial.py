"""What must be true of whatever a power cut leaves, and whether it is."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from crawler.checking import Check
from crawler.store.files import STAGED
from crawler.store.parts import Spot, unpack
from crawler.store.schema import State
from tests.proofs.powercuts.disk import CALM, WEATHERS, Disk, Remains, Weather
from tests.proofs.powercuts.history import MARKS, OUT, REDOS, History, play
from tests.proofs.powercuts.recording import Mark, Operation, Reader, record
from tests.stored import MEMORY, audit
from tests.stored import files as stored_files
from tests.stored import rows as stored_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PLAYED: Final = "played"
LEDGER: Final = f"{OUT}/ledger.sqlite"

_ROWS: Final = "SELECT uuid, outcome, file_digest, location, state FROM calls WHERE uuid8 IS NOT NULL"

_LINES: Final = "SELECT line, count(*) FROM calls WHERE line IS NOT NULL GROUP BY line"


@dataclass(frozen=True, slots=True)
class Row:
    outcome: str | None
    digest: str | None
    location: str | None
    state: int


@dataclass(slots=True)
class Promises:
    """What was acknowledged up to a moment. later: what will be, which may be on disk already."""

    run: int = 0
    sent: set[str] = field(default_factory=set)
    stored: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    later: dict[str, list[tuple[str, str | None]]] = field(default_factory=dict)

    @classmethod
    def before(cls, operations: Sequence[Operation]) -> Promises:
        promises = cls()
        for said in _marks(operations):
            if said[0] == "stored":
                promises.later.setdefault(said[1], []).append((said[2], said[3]))
        return promises

    def hear(self, mark: Mark) -> None:
        match json.loads(mark.text):
            case ["run", run]:
                self.run = run
            case ["sent", uuid]:
                self.sent.add(uuid)
            case ["stored", uuid, outcome, digest]:
                self.stored[uuid] = (outcome, digest)
                self.later[uuid].pop(0)


@dataclass(slots=True)
class Outcomes:
    """cuts: simulated. distinct: states of the disk among them. resumed: run to the end, with the real store."""

    operations: int = 0
    cuts: int = 0
    distinct: int = 0
    resumed: int = 0
    breaches: list[str] = field(default_factory=list)


def observe(history: History, scratch: Path) -> list[Operation]:
    """Play the history under strace, in *scratch*/played."""
    folder, log = scratch / PLAYED, scratch / "strace"
    folder.mkdir()
    command = [sys.executable, "-m", "tests.proofs.powercuts.history", str(folder)]
    command += [f"--durability={history.durability}", f"--lines={history.lines}", f"--seed={history.seed}"]
    command += ["--packed"] * history.packed
    record(command, folder, log)
    return list(Reader(folder, MARKS).read(log))


def _marks(operations: Sequence[Operation]) -> Iterator[list[str]]:
    for operation in operations:
        if isinstance(operation, Mark):
            yield json.loads(operation.text)


class Trial:
    """Cuts the power of one history's disk. resume_every: of how many distinct states one is run to its end."""

    def __init__(self, history: History, *, seed: int, resume_every: int) -> None:
        self._history = history
        self._rng = random.Random(seed)
        self._resume_every = resume_every
        self._seen: set[bytes] = set()
        self._ledgers: dict[bytes, dict[str, Row] | str] = {}
        self._scratch = Path(tempfile.mkdtemp(dir=MEMORY)).resolve()
        self._operations = observe(history, self._scratch)
        self._digests: dict[int, tuple[bytes, str]] = {}
        self.outcomes = Outcomes(len(self._operations))

    def close(self) -> None:
        shutil.rmtree(self._scratch)

    def run(self, cuts: int, weathers: Sequence[Weather] = WEATHERS) -> Outcomes:
        """Spread so many cuts evenly over the history. Breaches end it after a few."""
        disk, promises = Disk(), Promises.before(self._operations)
        share, due = cuts / sum(not isinstance(operation, Mark) for operation in self._operations), 0.0
        for operation in self._operations:
            if isinstance(operation, Mark):
                promises.hear(operation)
                continue
            disk.do(operation)
            due += share
            while due >= 1:
                due -= 1
                weather = weathers[self.outcomes.cuts % len(weathers)]
                self._look(disk.cut(weather, self._rng), promises, weather)
                if len(self.outcomes.breaches) > 5:
                    return self.outcomes
        return self.outcomes

    def _look(self, remains: Remains, promises: Promises, weather: Weather) -> None:
        outcomes = self.outcomes
        outcomes.cuts += 1
        files = remains.files()
        state = hashlib.blake2b(digest_size=16)
        for path in sorted(files):
            state.update(f"{path} {self._digest(remains, files[path])} ".encode())
        for uuid, stored in promises.stored.items():
            state.update(f"{uuid} {stored} ".encode())
        if state.digest() in self._seen:
            return
        self._seen.add(state.digest())
        outcomes.distinct += 1
        for breach in self._breaches(remains, files, promises):
            outcomes.breaches.append(f"{self._history}, cut {outcomes.cuts}, {weather}: {breach}")
        if outcomes.distinct % self._resume_every == 0:
            outcomes.resumed += 1
            try:
                self._resume(remains, files, promises)
            except Exception as exc:  # noqa: BLE001  # whatever it is, this cut has to be named
                outcomes.breaches.append(f"{self._history}, cut {outcomes.cuts}, {weather}: resumed: {exc!r}")

    def _breaches(self, remains: Remains, files: dict[str, int], promises: Promises) -> Iterator[str]:
        rows = self._ledger(remains, files)
        if isinstance(rows, str):
            yield rows
            return
        for uuid, stored in promises.stored.items():
            row = rows.get(uuid)
            if row is None or (row.outcome, row.digest) not in {stored, *promises.later[uuid]}:
                yield f"acknowledged and lost: {uuid} {stored}, found {row}"
        for uuid in promises.sent - rows.keys():
            yield f"sent, and not known: {uuid}"
        for uuid, row in rows.items():
            if row.location is not None and not self._is_whole(remains, files, row):
                yield f"the file of {uuid} is missing or torn: {row}"
        for name in ("summary.json", "failed.jsonl", "invalid.jsonl"):
            if (inode := files.get(f"{OUT}/{name}")) is not None:
                text = remains.content(inode)
                for document in [text] if name == "summary.json" else text.splitlines():
                    try:
                        json.loads(document)
                    except ValueError:
                        yield f"{name} is torn"

    def _is_whole(self, remains: Remains, files: dict[str, int], row: Row) -> bool:
        """As recovery will have it: a staged row's file may still wait to be moved into place."""
        if self._history.packed:
            return row.location is not None and self._line(remains, files, Spot.parse(row.location)) == row.digest
        path = f"{OUT}/{row.location}"
        inode = files.get(path + STAGED, files.get(path)) if row.state == State.STAGED else files.get(path)
        return inode is not None and self._digest(remains, inode) == row.digest

    def _line(self, remains: Remains, files: dict[str, int], spot: Spot) -> str | None:
        """The digest of a line of a part; None when it is not there whole."""
        inode = files.get(f"{OUT}/{spot.part}")
        if inode is None:
            return None
        try:
            lines = unpack(remains.content(inode)[spot.at : spot.at + spot.size])
        except ValueError:
            return None
        return hashlib.sha256(lines[spot.line_at : spot.line_at + spot.line_size]).hexdigest()

    def _digest(self, remains: Remains, inode: int) -> str:
        content = remains.content(inode)
        known = self._digests.get(inode)
        if known is None or known[0] is not content:
            known = self._digests[inode] = content, hashlib.sha256(content).hexdigest()
        return known[1]

    def _ledger(self, remains: Remains, files: dict[str, int]) -> dict[str, Row] | str:
        """The rows that SQLite finds, or what is wrong with it."""
        parts = {
            suffix: remains.content(inode)
            for suffix in ("", "-wal", "-journal")
            if (inode := files.get(LEDGER + suffix)) is not None
        }
        key = hashlib.blake2b(digest_size=16)
        for suffix, content in parts.items():
            key.update(f"{suffix} {len(content)} ".encode() + content)
        if key.digest() not in self._ledgers:
            self._ledgers[key.digest()] = self._read(parts)
        return self._ledgers[key.digest()]

    def _read(self, parts: dict[str, bytes]) -> dict[str, Row] | str:
        path = self._scratch / "ledger.sqlite"
        for suffix in ("", "-wal", "-journal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        for suffix, content in parts.items():
            Path(f"{path}{suffix}").write_bytes(content)
        try:
            with closing(sqlite3.connect(path)) as connection:
                (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
                if verdict != "ok":
                    return f"the ledger is corrupt: {verdict}"
                if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'calls'").fetchone():
                    return {}
                return {
                    uuid.hex(): Row(outcome, digest.hex() if digest else None, location, state)
                    for uuid, outcome, digest, location, state in connection.execute(_ROWS)
                }
        except sqlite3.Error as exc:
            return f"the ledger cannot be opened: {exc}"

    def _resume(self, remains: Remains, files: dict[str, int], promises: Promises) -> None:
        """Run the same commands to their end, in what is left."""
        folder = self._scratch / PLAYED  # a directory belongs to the list of that path
        shutil.rmtree(folder)
        folder.mkdir()
        for path, inode in files.items():
            if path != MARKS:
                (folder / path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                (folder / path).write_bytes(remains.content(inode))
        for run in range(promises.run, len(REDOS)):
            play(self._history, folder, run, None)
            if self._history.packed:
                found = list(Check(folder / OUT, jobs=1).findings())
                assert not found, f"run {run}: {found}"
                continue
            unknown = set(stored_files(folder / OUT)) - {row["location"] for row in stored_rows(folder / OUT)}
            assert not unknown, f"run {run}: files that no row names: {unknown}"
            audit(folder / OUT)
        with closing(sqlite3.connect(folder / LEDGER)) as connection:
            lines = connection.execute(
                "SELECT line, count(*) FROM calls WHERE line IS NOT NULL GROUP BY line"
            ).fetchall()
            open_ = connection.execute("SELECT count(*) FROM calls WHERE outcome IS NULL").fetchone()[0]
        assert lines == [(line, 1) for line in range(1, self._history.lines * 5 // 4 + 1)], lines
        assert open_ == 0, open_


def prove(history: History, *, cuts: int, seed: int, resume_every: int) -> Outcomes:
    """`process` promises to outlive the end of all processes, at any operation; the others a power cut too."""
    trial = Trial(history, seed=seed, resume_every=resume_every)
    try:
        return trial.run(cuts, (CALM,) if history.durability == "process" else WEATHERS)
    finally:
        trial.close()
