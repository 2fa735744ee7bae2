"""An export: which records, in which format, to where; and what could not be exported whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Final

from crawler.exceptions import ArgumentError, BodyError
from crawler.export import csv, jsonl, parquet, warc
from crawler.export.target import PACKED, STDOUT, target
from crawler.store.reading import EVERYTHING, Chosen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from crawler.store.reading import Reading

FORMATS: Final = ("jsonl", "csv", "parquet", "warc")
_ENDINGS: Final = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet", ".warc": "warc"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """format: one of FORMATS. packing: None, `.gz` or `.zst`. keep_formulas: in csv, cells as they are."""

    format: str
    packing: str | None = None
    chosen: Chosen = EVERYTHING
    bodies: bool = False
    keep_formulas: bool = False


def find_format(name: str, said: str | None) -> tuple[str, str | None]:
    """Format and packing that a file's name stands for; said: what goes before it. Raises ArgumentError."""
    packing = next((ending for ending in PACKED if name.endswith(ending)), None)
    stem = name.removesuffix(packing or "")
    found = said or next((kind for ending, kind in _ENDINGS.items() if stem.endswith(ending)), None)
    if found is None and name == STDOUT:
        found = "jsonl"
    if found is None:
        raise ArgumentError("--to", name, f"a name that ends with {' '.join(_ENDINGS)}, or --format as well")
    if packing is not None and (found == "parquet" or (found, packing) == ("warc", ".zst")):
        raise ArgumentError("--to", name, f"no {packing}: {found} is packed in its own way")
    return found, packing


@dataclass(slots=True)
class Export:
    """An export under way. written: records so far. broken: why bodies are missing. tell: called for each record."""

    reading: Reading
    name: str
    options: Options
    tell: Callable[[int], None] = lambda _written: None
    written: int = 0
    broken: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Raises ArgumentError when a library is missing, StoreError when the disk refuses."""
        packs_itself = self.options.format == "warc"
        with target(path, None if packs_itself else self.options.packing) as file:
            self._write(file)

    def _write(self, file: IO[bytes]) -> None:
        match self.options.format:
            case "jsonl":
                jsonl.write(self, file)
            case "csv":
                csv.write(self, file)
            case "parquet":
                parquet.write(self, file)
            case "warc":
                warc.write(self, file, packed=self.options.packing == ".gz")

    def records(self) -> Iterator[tuple[dict[str, Any], bytes | None]]:
        """Each record that is chosen, with its body if bodies are wanted and there is one."""
        if self.options.bodies:
            found = ((record, body) for record, body, _ in self._answers())
        else:
            found = ((record, None) for record in self.reading.records(self.options.chosen))
        for record, body in found:
            yield record, body
            self._count()

    def answers(self) -> Iterator[tuple[dict[str, Any], bytes, str | None]]:
        """Each record that is chosen and has an answer: the body, and when it was there."""
        for record, body, fetched_at in self._answers():
            if body is not None and record["status"] is not None:
                yield record, body, fetched_at
                self._count()

    def _answers(self) -> Iterator[tuple[dict[str, Any], bytes | None, str | None]]:
        for record, answer in self.reading.answers(self.reading.records(self.options.chosen)):
            if isinstance(answer, BodyError):
                self.broken.append(str(answer))
                yield record, None, None
            else:
                yield record, *answer

    def _count(self) -> None:
        self.written += 1
        self.tell(self.written)
