"""How many receive a signal: asking costs a tenth of sending it to nobody.

Knows pydispatch, which carries Scrapy's signals, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydispatch.dispatcher import Anonymous, Any, connections

if TYPE_CHECKING:
    from collections.abc import Mapping, Sized

    from scrapy.crawler import Crawler

_ANY_SENDER = (id(Any), id(Anonymous))


def receivers(crawler: Crawler, signal: object) -> int:
    """How many receivers are connected to *signal* of this crawler, or to all signals, or of all senders."""
    count = _of(connections.get(id(crawler)), signal)
    for sender in _ANY_SENDER:
        if sender in connections:
            count += _of(connections[sender], signal)
    return count


def _of(by_signal: Mapping[object, Sized] | None, signal: object) -> int:
    if by_signal is None:
        return 0
    count = len(by_signal[signal]) if signal in by_signal else 0
    return count + len(by_signal[Any]) if Any in by_signal else count
