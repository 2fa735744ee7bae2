"""JSON lines: a record as the view `records` has it, headers and meta as objects, the body last as in an envelope."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from crawler.store.envelope import json_line, stored_body

if TYPE_CHECKING:
    from crawler.export.exporting import Export


def write(export: Export, file: IO[bytes]) -> None:
    for record, body in export.records():
        stored = {} if body is None else stored_body(body, record["content_type"])
        file.write(json_line({**record, **stored}))
