"""What people see of a run while it goes: a few lines that are painted anew. The only place that imports `rich`.

On a terminal, or in a notebook's cell. Knows no Scrapy.
"""

from crawler.bar.notebook import NotebookBar, is_notebook
from crawler.bar.terminal import TerminalBar

__all__ = ["NotebookBar", "TerminalBar", "is_notebook"]
