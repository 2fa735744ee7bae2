"""A server that does everything wrong, one way at a time, and the table of what each way must end as.

`table.py` is the table, in groups; `server.py` serves it, `trial.py` holds a crawl against it, and
`python -m tests.hostile` writes it down as docs/hostile.md. Knows the project's outcomes, nothing of its code.
"""
