"""`results`: the records of an output directory as Python objects, bodies read when they are asked for."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from crawler.exceptions import ArgumentError, BodyError
from crawler.export.columns import Column, cells, table_columns
from crawler.store.envelope import stored_body
from crawler.store.objects.address import is_object_store, local_name
from crawler.store.reading import EVERYTHING, Chosen, Reading, reading
from crawler.values import STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd

_DTYPES: Final = {"whole": "Int64", "real": "Float64", "truth": "boolean"}
"""pandas' types that have a place for "none"."""


class Result:
    """A record: the columns of the view `records` as attributes (docs/output.md), headers and meta as objects."""

    __slots__ = ("_reading", "record")

    def __init__(self, record: dict[str, Any], opened: Reading) -> None:
        self.record = record
        self._reading = opened

    def __getattr__(self, name: str) -> Any:
        try:
            return self.record[name]
        except KeyError:
            raise AttributeError(f"a record has no {name!r}; it has {', '.join(self.record)}") from None

    def __repr__(self) -> str:
        return f"<Result {self.outcome} {self.status} {self.url}>"

    @property
    def body(self) -> bytes | None:
        """The body, read now and held against its digest; None without one. Raises BodyError."""
        return self._reading.body(self.record)

    @property
    def text(self) -> str | None:
        """The body as text; None when it is none."""
        body = self.body
        if body is None:
            return None
        stored: dict[str, Any] = stored_body(body, self.content_type)
        return bytes(stored["body"]).decode() if "body" in stored else stored.get("text")

    def json(self) -> Any:
        """The body as JSON. Raises ValueError when it is none."""
        body = self.body
        if body is None:
            raise ValueError(f"{self.url}: there is no body; the outcome is {self.outcome}")
        return json.loads(body)


@dataclass(frozen=True, slots=True)
class Results:
    """Records in the order of the list. Iterate as often as you like: each time the ledger is read anew."""

    out: Path
    chosen: Chosen = EVERYTHING

    def only(self, *outcomes: str, status: str | int | Iterable[int] | None = None) -> Results:
        """Those of these outcomes, and of these statuses: 404, "404,5xx" or several numbers. Raises ValueError."""
        chosen = replace(self.chosen, outcomes=frozenset(outcomes) or self.chosen.outcomes)
        if status is not None:
            several = [status] if isinstance(status, str | int) else list(status)
            chosen = replace(chosen, statuses=STATUSES.parse(",".join(map(str, several))))
        return Results(self.out, chosen)

    def __iter__(self) -> Iterator[Result]:
        """Raises OtherListError when there is no output directory, StoreError when it cannot be read."""
        with reading(self.out) as opened:
            for record in opened.records(self.chosen):
                yield Result(record, opened)

    def __len__(self) -> int:
        with reading(self.out) as opened:
            return opened.count(self.chosen)

    def to_pandas(self, *, bodies: bool = False) -> pd.DataFrame:
        """A table with typed columns, the list's own beside the record's; bodies: as in an export (docs/export.md).

        Raises BodyError for the first that is missing or altered.
        """
        import pandas as pd  # noqa: PLC0415  # for those who have it

        with reading(self.out) as opened:
            columns = table_columns(opened, self.chosen, bodies=bodies)
            records = opened.records(self.chosen)
            found = _with_bodies(opened, records) if bodies else ((record, None) for record in records)
            rows = [list(cells(columns, record, body)) for record, body in found]
        frame = pd.DataFrame(rows, columns=[column.name for column in columns], dtype=object)
        return frame.assign(**{column.name: _typed(frame[column.name], column) for column in columns})


def _with_bodies(opened: Reading, records: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], bytes | None]]:
    """Each record and its body, read ahead where bodies come from elsewhere. Raises BodyError."""
    for record, answer in opened.answers(records):
        if isinstance(answer, BodyError):
            raise answer
        yield record, answer[0]


def _typed(values: pd.Series[Any], column: Column) -> pd.Series[Any]:
    import pandas as pd  # noqa: PLC0415

    if column.kind == "time":
        return pd.to_datetime(values, utc=True)
    return values.astype(_DTYPES.get(column.kind, "string"))  # type: ignore[arg-type, unused-ignore]


def results(out: str | os.PathLike[str]) -> Results:
    """The records of an output directory, also while a run is on. Raises ArgumentError for the URL of a store."""
    if is_object_store(named := os.fspath(out)):
        expected = f"the working directory of that store, such as out/{local_name(named)}"
        raise ArgumentError("out", named, expected)
    return Results(Path(out))
