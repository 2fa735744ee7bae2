"""Records out, in the formats that other tools read: a module per format, all of them streams.

Reads through `store.reading` and knows no table. An optional dependency is imported by the one format it serves.
"""

from crawler.export.exporting import FORMATS, Export, Options, find_format

__all__ = ["FORMATS", "Export", "Options", "find_format"]
