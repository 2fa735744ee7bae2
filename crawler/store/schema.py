"""The ledger's tables, and the public view `records`. Owns the SQL that shapes the file; moves no data."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

VERSION: Final = 3
"""`PRAGMA user_version`. A newer program opens older ledgers: add a step to MIGRATIONS."""

CHANGES: Final = """
CREATE TABLE changes (                  -- what the latest redo=changed has found so far
    record        INTEGER PRIMARY KEY,
    change        TEXT NOT NULL,        -- items.Change
    status        INTEGER,
    before        BLOB                  -- SHA-256 of the body that was there
);
"""

PACKS: Final = """
CREATE TABLE packs (                    -- the parts of `pack=jsonl`, as far as they are committed
    name          TEXT PRIMARY KEY,     -- below the output directory
    bytes         INTEGER NOT NULL,     -- what stands behind them is a killed run's
    lines         INTEGER NOT NULL,
    closed        INTEGER NOT NULL      -- 1: no run appends to it any more
) WITHOUT ROWID;
"""

MIGRATIONS: Final[dict[int, str]] = {1: CHANGES, 2: PACKS}
"""Version -> the SQL that lifts a ledger of that version to the next one."""


class State(IntEnum):
    """What is still to be done about a row; settled rows are in no index but the uuid's."""

    SETTLED = 0
    PENDING = 1  # it must be fetched: a followed request, or a call that was refused and is to be made again
    SENT = 2  # a call that may not be repeated went out, and its answer is not here yet
    STAGED = 3  # committed; its file must still be moved into place, or its old one removed


TABLES: Final = """
CREATE TABLE calls (
    id            INTEGER PRIMARY KEY,  -- in order of writing: appends, where random keys would scatter
    uuid8         INTEGER,              -- the first 8 bytes of uuid; NULL where a row names no file of its own
    uuid          BLOB,
    run           INTEGER NOT NULL,     -- the run that wrote this outcome
    checked       INTEGER NOT NULL,     -- the run that last decided about the row
    state         INTEGER NOT NULL,
    list          INTEGER,
    line          INTEGER,
    n             INTEGER NOT NULL,
    parent        INTEGER,
    key           TEXT,
    method        TEXT NOT NULL,
    url           TEXT NOT NULL,        -- masked
    host          TEXT,
    final_url     TEXT,
    redirects     INTEGER,
    outcome       TEXT,                 -- NULL: a followed request that has none yet
    status        INTEGER,
    http_version  TEXT,
    ip            TEXT,
    location      TEXT,
    bytes         INTEGER,
    sha256        BLOB,
    file_digest   BLOB,
    content_type  TEXT,
    headers       TEXT,
    etag          TEXT,
    last_modified TEXT,
    attempts      INTEGER,
    started_at    TEXT,
    elapsed_ms    INTEGER,
    waited_ms     INTEGER,
    not_before    TEXT,
    error         TEXT,
    meta          TEXT
);
-- Slim: 8 of 16 bytes; a hit is checked against the row. Random 16-byte keys cost 5 to 10 times as much.
CREATE INDEX calls_uuid8 ON calls (uuid8) WHERE uuid8 IS NOT NULL;
CREATE INDEX calls_open ON calls (state) WHERE state != 0;
CREATE INDEX calls_again ON calls (id)  -- pages that are not ok, so that nobody reads the whole ledger for them
    WHERE parent IS NOT NULL AND uuid8 IS NOT NULL AND (state != 0 OR outcome != 'ok');
CREATE INDEX calls_parent ON calls (parent) WHERE parent IS NOT NULL;
CREATE INDEX calls_derived ON calls (list) WHERE uuid8 IS NULL;

CREATE TABLE requests (                 -- private: what was asked, until the record is ok (ledger.py says when longer)
    record        INTEGER PRIMARY KEY,
    request       TEXT NOT NULL,        -- JSON, as the list gave it, ${NAME} unfilled
    body          BLOB
);
CREATE TABLE lists (
    id            INTEGER PRIMARY KEY,
    path          TEXT NOT NULL,
    fingerprint   TEXT                  -- JSON; NULL for a pipe
);
CREATE TABLE runs (
    id            INTEGER PRIMARY KEY,
    list          INTEGER,
    started_at    TEXT NOT NULL,
    ended_at      TEXT,                 -- NULL: it runs, or it was killed
    arguments     TEXT NOT NULL,        -- JSON, secrets unfilled
    versions      TEXT NOT NULL,        -- JSON
    durability    TEXT NOT NULL,
    boot_id       TEXT,
    redo          TEXT NOT NULL,
    redo_base     INTEGER NOT NULL,     -- rows checked by this run or later are redone already
    redo_done     INTEGER NOT NULL DEFAULT 0,
    stop_reason   TEXT,
    exit_code     INTEGER,
    summary       TEXT                  -- JSON
);
CREATE TABLE timeline (                 -- a row per second in which something happened
    run           INTEGER NOT NULL,
    second        INTEGER NOT NULL,     -- Unix time
    calls         INTEGER NOT NULL,
    ok            INTEGER NOT NULL,
    refused       INTEGER NOT NULL,
    retries       INTEGER NOT NULL,
    rests         INTEGER NOT NULL,
    bytes         INTEGER NOT NULL,
    latency       TEXT NOT NULL,        -- JSON: histogram, upper bound in ms -> calls
    limit_        INTEGER,              -- concurrent calls allowed
    PRIMARY KEY (run, second)
) WITHOUT ROWID;
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE VIEW records AS SELECT
    c.run, l.path AS source, c.line, c.n, {uuid} AS uuid, {parent} AS parent,
    c.key, c.method, c.url, c.host, c.final_url, c.redirects,
    coalesce(c.outcome, CASE c.state WHEN 1 THEN 'pending' ELSE 'sent' END) AS outcome,
    c.status, c.http_version, c.ip, c.location, c.bytes,
    {sha256} AS sha256, {file_digest} AS file_digest,
    c.content_type, c.headers, c.etag, c.last_modified, c.attempts, c.started_at, c.elapsed_ms,
    c.waited_ms, c.not_before, c.error, c.meta
FROM calls c LEFT JOIN lists l ON l.id = c.list;
"""


def _uuid_sql(blob: str) -> str:
    cuts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    return " || '-' || ".join(f"substr(lower(hex({blob})), {at}, {size})" for at, size in cuts)


def tables_sql() -> str:
    """The SQL that makes an empty ledger of VERSION."""
    parent = f"(SELECT {_uuid_sql('p.uuid')} FROM calls p WHERE p.id = c.parent)"  # noqa: S608  # our own text
    texts = {
        "{uuid}": f"CASE WHEN c.uuid IS NOT NULL THEN {_uuid_sql('c.uuid')} END",
        "{parent}": parent,
        "{sha256}": _hex_sql("c.sha256"),
        "{file_digest}": _hex_sql("c.file_digest"),
    }
    tables = TABLES + CHANGES + PACKS
    for name, text in texts.items():
        tables = tables.replace(name, text)
    return tables


def _hex_sql(blob: str) -> str:
    return f"CASE WHEN {blob} IS NOT NULL THEN lower(hex({blob})) END"  # else hex gives an empty text
