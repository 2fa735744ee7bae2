"""The bar: a few lines on a terminal that say how a run goes. The only place that imports `rich`."""

from crawler.extensions.progress.terminal import TerminalBar

__all__ = ["TerminalBar"]
