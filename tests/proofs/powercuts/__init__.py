"""A power cut at any moment, on a disk that keeps, loses, tears or blanks whatever it was not told to sync.

The manner is that of SQLite's own crash tests (sqlite.org/testing.html, 3.3): the operations of the real store are
recorded (`history` under strace), then played to a model of a disk (`disk`) that is cut off after each of them, and
what it kept is looked at (`trial`).
"""
