"""From the settings of a crawl to the Plan of its run, in plain values."""

from __future__ import annotations

import json
import logging
import os
import platform
from typing import TYPE_CHECKING, Any, Final

import scrapy
import twisted

from crawler import __version__
from crawler.arguments import ARGUMENTS, Argument, environment_names
from crawler.credentials import Secrets, lets_in, stand_in
from crawler.items import WHOLE
from crawler.machine import shared
from crawler.pacing import Policy, Shared, SharedRests, backoffs, outage, shut_out
from crawler.plan import ANY_NUMBER, Plan, output, shape_of
from crawler.secrets import bare_names_in, is_key_name, only_names
from crawler.sources import SHAPING, SharedAddress, is_shared
from crawler.store.hold import Remote
from crawler.store.space import Floor
from crawler.values import AUTO, AtMost

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

WORKERS: Final = "CONCURRENT_REQUESTS"  # a number to Scrapy, and to us whether it is one that is found


def plan_of(settings: BaseSettings) -> Plan:
    """The Plan that these settings, checked and typed, stand for. Raises SecretError, ListError."""
    urls = settings["APIFETCH_URLS"]
    params = settings["APIFETCH_PARAMS"] or ()
    secrets = _secrets(settings)
    out, url = output(urls, settings["APIFETCH_OUT"], settings["APIFETCH_LOCAL"])
    patience_s, copied_s = settings["APIFETCH_STORE_PATIENCE_S"], settings["APIFETCH_LEDGER_COPY_S"]
    return Plan(
        urls=urls,
        out=out,
        remote=None if url is None else Remote(url, patience_s=patience_s, copied_s=copied_s),
        shape=shape_of(settings),
        ca_file=settings["APIFETCH_CA_FILE"],
        limit=settings["APIFETCH_LIMIT"],
        shard=settings["APIFETCH_SHARD"] or WHOLE,
        raw=settings["APIFETCH_SAVE"] == "raw",
        packed=settings["APIFETCH_PACK"] is not None,
        redo=settings["APIFETCH_REDO"],
        redo_text=str(settings["APIFETCH_REDO"]),
        number_duplicates=settings["APIFETCH_DUPLICATES"] == "fetch",
        tolerance=settings["APIFETCH_MAX_FAILED"],
        durability=settings["APIFETCH_DURABILITY"],
        levels=settings["APIFETCH_FOLDER_LEVELS"],
        identity={
            **{name: settings[f"APIFETCH_{name.upper()}"] for name in SHAPING},
            "params": ",".join(sorted({name for name, _ in params})),
            "save": settings["APIFETCH_SAVE"],
            "pack": settings["APIFETCH_PACK"],
            "duplicates": settings["APIFETCH_DUPLICATES"],
            "APIFETCH_FOLDER_LEVELS": str(settings["APIFETCH_FOLDER_LEVELS"]),
        },
        arguments={row.name: _shown(row, settings[row.setting]) for row in ARGUMENTS},
        workers=settings.getint("CONCURRENT_REQUESTS") or ANY_NUMBER,
        policy=_policy(settings, secrets),
        max_calls=settings.get("APIFETCH_MAX_CALLS"),
        floor=Floor(settings["APIFETCH_MIN_FREE_BYTES"], settings["APIFETCH_MIN_FREE_INODES"]),
        secrets=secrets,
        key_header=str(settings.get("APIFETCH_IDEMPOTENCY_KEY") or ""),
        addresses=settings["APIFETCH_ADDRESSES"],
        lease_s=settings["APIFETCH_LEASE_S"],
        shared_patience_s=settings["APIFETCH_SHARED_PATIENCE_S"],
        versions={
            "apifetch": __version__,
            "scrapy": scrapy.__version__,
            "twisted": twisted.__version__,
            "python": platform.python_version(),
        },
    )


def _secrets(settings: BaseSettings) -> Secrets:
    names = environment_names({**_of_calls(settings), "APIFETCH_URLS": settings["APIFETCH_URLS"]})
    return Secrets(
        names, environ=os.environ, env_file=settings.get("APIFETCH_ENV_FILE"),
        command=settings.get("APIFETCH_SECRET_COMMAND"), params=settings["APIFETCH_PARAMS"] or (),
    )  # fmt: skip


def _of_calls(settings: BaseSettings) -> dict[str, Any]:
    """What may name secrets that calls carry."""
    names = ("APIFETCH_HEADERS", "APIFETCH_PARAMS", "APIFETCH_PASS_ENV")
    return {name: settings[name] or () for name in names} | {"APIFETCH_URLS": ""}


def bare_names(settings: BaseSettings) -> list[str]:
    """Variables that are meant to be filled in, by the looks of it, and are not: `$NAME` instead of `${NAME}`."""
    return bare_names_in((*(settings["APIFETCH_HEADERS"] or ()), *(settings["APIFETCH_PARAMS"] or ())), os.environ)


def _policy(settings: BaseSettings, secrets: Secrets) -> Policy:
    rate = settings.get("APIFETCH_RATE")
    meeting = None
    if settings["APIFETCH_SHARED_RATE"] != "off":
        level = logging.DEBUG if rate is None else logging.WARNING
        meeting = _fleet(settings, secrets) or shared(os.environ, level=level)
    base_s, cap_s = settings["APIFETCH_RETRY_BASE_S"], settings["APIFETCH_RETRY_CAP_S"]
    return Policy(
        per_host=settings.getint("CONCURRENT_REQUESTS_PER_DOMAIN") or settings.getint("CONCURRENT_REQUESTS"),
        auto=isinstance(settings[WORKERS], AtMost),
        rate=rate,
        shared=None if rate is None else meeting,
        rests=None if meeting is None else SharedRests(meeting, _who(settings, secrets)),
        max_wait_s=settings["APIFETCH_MAX_WAIT"],
        backoffs=backoffs(base_s, cap_s),
        outage=outage(base_s, cap_s),
        shut_out=shut_out(base_s, cap_s),
    )


def _fleet(settings: BaseSettings, secrets: Secrets) -> Shared | None:
    """Where the workers of a shared list meet, on whatever machine; None: it is no such list. Raises ListError."""
    if not is_shared(settings["APIFETCH_URLS"]):
        return None
    from crawler.distributed.board import FleetBoard  # noqa: PLC0415  # for those who need it
    from crawler.distributed.server import Server  # noqa: PLC0415

    address = SharedAddress.of(settings["APIFETCH_URLS"]).filled(secrets.values)
    patience_s = settings["APIFETCH_SHARED_PATIENCE_S"]
    server = Server(address, ca_file=settings["APIFETCH_CA_FILE"], patience_s=patience_s)
    return FleetBoard(server).shared


def _who(settings: BaseSettings, secrets: Secrets) -> str:
    """What stands for the credentials that all calls of the run carry."""
    names = environment_names(_of_calls(settings))
    keys = [value for name, value in settings["APIFETCH_HEADERS"] or () if lets_in(name)]
    keys += [value for name, value in settings["APIFETCH_PARAMS"] or () if is_key_name(name)]
    return stand_in([*map(secrets.values.__getitem__, names), *keys])


def _shown(row: Argument, value: object) -> object:
    """An argument for summary.json: as JSON can hold it, a secret as stars; of headers and params the names."""
    if isinstance(value, AtMost):
        return AUTO
    if value is None or isinstance(value, int | float):
        return value
    if row.private and isinstance(value, tuple) and value:
        return json.dumps({name: only_names(text) for name, text in value})
    return row.shown(str(value)) if value != () else None
