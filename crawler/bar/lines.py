"""What the bar says: the lines, for a window of some width. `rich` measures and colours them; no terminal here."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from crawler.amounts import about, counted, milliseconds, per_second, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crawler.meter import Progress

BAR_CELLS: Final = 60
"""The longest bar: on a wide screen a longer one is no easier to read."""


def lines_of(at: Progress, columns: int, *, ascii_only: bool = False) -> Iterator[Text]:
    """Give the lines of the bar, each narrower than the window: a character in the last column may wrap."""
    width = max(columns - 1, 20)
    lines = [_headline(at, width), *_flow(_counts(at), width), *_flow(_speeds(at), width), *_reason(at, width)]
    for text in lines:
        if ascii_only:
            text.plain = text.plain.translate(_ASCII)
        yield text


_ASCII: Final = str.maketrans({"━": "=", "╸": "=", "·": "|", "…": "."})


def _headline(at: Progress, width: int) -> Text:
    """The list's name, the bar, how much came out well, and the time left."""
    said = [] if at.percent_ok is None else [Text(f"{at.percent_ok:3d} % ok", "bold")]
    if at.is_stopping:
        said.append(Text("stopping", "yellow"))
    elif at.left_s is not None and at.left:
        said.append(Text(f"{about(at.left_s)} left"))
    name = Text(at.name, "bold")
    name.truncate(max(10, width // 4), overflow="ellipsis")
    end = Text(" · ", "dim").join(said)
    cells = min(width - name.cell_len - end.cell_len - 4, BAR_CELLS)
    middle = _strip(at, cells) if at.percent_ok is not None and cells >= 8 else Text(f"{at.done:,} done")
    return Text("  ").join([name, middle, end])


def _strip(at: Progress, cells: int) -> Text:
    """The bar itself: what is ok, what failed (never less than a cell), what is left."""
    total = at.done + (at.left or 0)
    failed = min(cells, -(-at.failed * cells // total))
    ok = min(cells - failed, (at.ok + at.duplicate) * cells // total)
    return Text.assemble(("━" * ok, "green"), ("━" * failed, "red"), ("━" * (cells - ok - failed), "bright_black"))


def _counts(at: Progress) -> Iterator[Text]:
    yield Text(f"{at.ok:,} ok", "green")
    yield Text(f"{at.failed:,} failed", "red" if at.failed else "dim")
    if at.duplicate:
        yield Text(f"{at.duplicate:,} duplicate")
    yield Text(at.left_text)
    yield Text(counted(at.retries, "retry", "retries"), "" if at.retries else "dim")
    yield Text(f"{at.resting:,} resting", "yellow" if at.resting else "dim")


def _speeds(at: Progress) -> Iterator[Text]:
    yield Text(f"{per_second(at.calls_per_s)} calls/s")
    yield Text(f"{size(at.bytes_per_s)}/s, {size(at.bytes)}")
    if at.p50_ms is not None and at.p95_ms is not None:
        yield Text(f"p50 {milliseconds(at.p50_ms)}, p95 {milliseconds(at.p95_ms)}")
    yield Text(f"{at.in_flight} of {at.limit} workers")


def _reason(at: Progress, width: int) -> list[Text]:
    """Why it is not faster."""
    if at.is_stopping:
        return [Text(f"Stopping: {counted(at.in_flight, 'call')} on the way may still end", "yellow")]
    if at.why is None:
        return []
    return list(Text(at.why.sentence, "dim").wrap(_WRAPPING, width))


_WRAPPING: Final = Console(file=io.StringIO(), width=80)
"""What rich asks for where text is wrapped; the width is given each time."""


def _flow(parts: Iterator[Text], width: int) -> Iterator[Text]:
    """Put parts side by side, as many as fit into a line."""
    line = Text()
    for part in parts:
        if line and line.cell_len + 3 + part.cell_len > width:
            yield line
            line = Text()
        line = Text.assemble(line, (" · ", "dim"), part) if line else part
    if line:
        yield line
