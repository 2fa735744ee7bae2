"""The plot: a panel of bars for each case, as an SVG written by hand. Pure; matplotlib would be 50 MB for bars."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.clients import Client
    from benchmarks.report import Ran

# In pixels of the drawing, which scales. Two panels side by side fit a page of documentation.
PANEL_WIDTH: Final = 470
COLUMNS: Final = 2
MARGIN: Final = 24
GAP: Final = 32
HEAD_HEIGHT: Final = 52
ROW_HEIGHT: Final = 24
BAR_HEIGHT: Final = 15
NAMES_WIDTH: Final = 168
VALUES_WIDTH: Final = 58  # room for a value right of the longest bar

STYLE: Final = """\
text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #3d4451; }
.title { font-size: 14px; font-weight: 600; fill: #14181f; }
.what { font-size: 11.5px; fill: #6b7280; }
.name { text-anchor: end; }
.ours { font-weight: 600; fill: #14181f; }
.bar { fill: #b6c0cf; }
.bar.ours { fill: #0f766e; }
.spread { stroke: #3d4451; stroke-width: 1; stroke-opacity: 0.55; }
.axis { stroke: #d4d9e1; stroke-width: 1; }"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A client's figure: the median, the least and the most of its rounds."""

    client: Client
    value: float
    least: float
    most: float


def plot(rans: Sequence[Ran], clients: Sequence[Client]) -> str:
    """Give the SVG. A case without samples has no panel."""
    panels = [(ran, bars) for ran in rans if (bars := _bars(ran, clients))]
    columns = max(1, min(COLUMNS, len(panels)))
    width = 2 * MARGIN + columns * PANEL_WIDTH + (columns - 1) * GAP
    drawn: list[str] = []
    top = MARGIN
    for first in range(0, len(panels), columns):
        row = panels[first : first + columns]
        for place, (ran, bars) in enumerate(row):
            left = MARGIN + place * (PANEL_WIDTH + GAP)
            drawn += [f'<g transform="translate({left} {top})">', *_panel(ran, bars), "</g>"]
        top += max(_height(bars) for _, bars in row) + GAP
    height = max(top - GAP, MARGIN) + MARGIN
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="Benchmarks, a panel for each case">',
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>',
        *drawn,
        "</svg>\n",
    ])  # fmt: skip


def _bars(ran: Ran, clients: Sequence[Client]) -> list[Bar]:
    bars = []
    for client in clients:
        known = [value for sample in ran.of(client.name) if (value := ran.case.figure.of(sample)) is not None]
        if known:
            bars.append(Bar(client=client, value=median(known), least=min(known), most=max(known)))
    return bars


def _height(bars: Sequence[Bar]) -> int:
    return HEAD_HEIGHT + ROW_HEIGHT * len(bars)


def _panel(ran: Ran, bars: Sequence[Bar]) -> Iterator[str]:
    yield f'<text class="title" y="14">{escape(ran.case.title)}</text>'
    yield f'<text class="what" y="32">{escape(ran.case.figure.title)}</text>'
    longest = max(bar.most for bar in bars) or 1
    scale = (PANEL_WIDTH - NAMES_WIDTH - VALUES_WIDTH) / longest
    for number, bar in enumerate(bars):
        yield from _drawn(bar, HEAD_HEIGHT + ROW_HEIGHT * number, scale, ran.case.figure.text(bar.value))
    yield f'<line class="axis" x1="{NAMES_WIDTH}" x2="{NAMES_WIDTH}" y1="{HEAD_HEIGHT - 4}" y2="{_height(bars)}"/>'


def _drawn(bar: Bar, top: int, scale: float, text: str) -> Iterator[str]:
    """A row: name, bar, a line from the least to the most, value."""
    ours = " ours" if bar.client.name == "apifetch" else ""
    middle = top + BAR_HEIGHT / 2
    baseline = middle + 4  # a third of the letters' size
    name = bar.client.title.replace("**", "").replace("`", "")
    yield f'<text class="name{ours}" x="{NAMES_WIDTH - 8}" y="{baseline}">{escape(name)}</text>'
    width = max(bar.value * scale, 1)  # the smallest value is still seen
    yield f'<rect class="bar{ours}" x="{NAMES_WIDTH}" y="{top}" width="{width:.1f}" height="{BAR_HEIGHT}" rx="2"/>'
    end = width
    if (bar.most - bar.least) * scale > 2:
        x1, end = NAMES_WIDTH + bar.least * scale, bar.most * scale
        yield f'<line class="spread" x1="{x1:.1f}" x2="{NAMES_WIDTH + end:.1f}" y1="{middle}" y2="{middle}"/>'
    yield f'<text class="value{ours}" x="{NAMES_WIDTH + end + 6:.1f}" y="{baseline}">{escape(text)}</text>'
