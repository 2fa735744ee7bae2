"""Parquet, by pyarrow: typed columns, a row group at a time, zstd inside. Needs `pip install pyarrow`."""

from __future__ import annotations

from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, Final

from crawler.exceptions import ArgumentError
from crawler.export.columns import Column, cells, table_columns

if TYPE_CHECKING:
    from crawler.export.exporting import Export

GROUP_ROWS: Final = 10_000
GROUP_BYTES: Final = 16 * 1024 * 1024
"""A row group ends after so many rows or bytes of bodies: what is held in memory, a few times over."""


def write(export: Export, file: IO[bytes]) -> None:
    """Raises ArgumentError where pyarrow is not installed."""
    try:
        import pyarrow as pa  # noqa: PLC0415  # 0.3 s, for this format alone
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as exc:
        raise ArgumentError("--to", "parquet", "pyarrow, which is not installed: pip install pyarrow") from exc
    columns = table_columns(export.reading, export.options.chosen, bodies=export.options.bodies)
    types = {
        "text": pa.string(), "whole": pa.int64(), "real": pa.float64(), "truth": pa.bool_(),
        "time": pa.timestamp("ms", tz="UTC"),
    }  # fmt: skip
    schema = pa.schema([(column.name, types[column.kind]) for column in columns])
    held: list[list[Any]] = [[] for _ in columns]
    held_bytes = 0
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:

        def write_group() -> None:
            arrays = [pa.array(values, type=field.type) for values, field in zip(held, schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            for values in held:
                values.clear()

        for record, body in export.records():
            for values, column, value in zip(held, columns, cells(columns, record, body), strict=True):
                values.append(_value(column, value))
            held_bytes += len(body or b"")
            if len(held[0]) >= GROUP_ROWS or held_bytes >= GROUP_BYTES:
                write_group()
                held_bytes = 0
        if held[0]:
            write_group()


def _value(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if column.kind == "time":
        return datetime.fromisoformat(value)
    if column.kind == "real":
        return float(value)
    return value.encode(errors="replace").decode() if isinstance(value, str) and not value.isascii() else value
