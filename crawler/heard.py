"""How many receive a signal: asking costs a tenth of sending it to nobody.

Knows pydispatch, which carries Scrapy's signals, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydispatch.dispatcher import Anonymous, Any, connections

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

_ANY_SENDER = (id(Any), id(Anonymous))


def receivers(crawler: Crawler, signal: object) -> int:
    """How many receivers are connected to *signal* of this crawler, or to all signals, or of all senders."""
    own = connections.get(id(crawler))
    count = 0
    if own is not None:
        if signal in own:
            count = len(own[signal])
        if Any in own:
            count += len(own[Any])
    for sender in _ANY_SENDER:
        if sender in connections:
            count += sum(len(connections[sender].get(key, ())) for key in (signal, Any))
    return count


def is_heard(crawler: Crawler, signals: frozenset[object]) -> bool:
    """Whether anyone receives one of *signals*: one question for all, where mostly nobody does."""
    own = connections.get(id(crawler))
    if (own is None or (Any not in own and own.keys().isdisjoint(signals))) and connections.keys().isdisjoint(
        _ANY_SENDER
    ):
        return False
    return any(receivers(crawler, signal) for signal in signals)
