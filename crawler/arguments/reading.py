"""Reading: what -a, -s and settings.py say becomes one typed value for every setting, or one clear error."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from crawler.arguments.settings import SETTINGS
from crawler.arguments.table import ARGUMENTS, USAGE
from crawler.credentials import expected_of, read_env_file
from crawler.exceptions import ArgumentError, SecretError
from crawler.secrets import STARS, is_key_name, mask_url, names_in
from crawler.sources import SharedAddress, body_template, is_shared, url_template
from crawler.store.objects.address import is_object_store
from crawler.values import AUTO, AtMost, find_shard

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from crawler.arguments.rows import Argument


class HostsNeededError(ArgumentError):
    """A value holds `${NAME}`, but nobody said which hosts may get what it stands for.

    names: the NAMEs. The message stands alone; who knows the list can add the exact flag.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        shown = " and ".join(f"${{{name}}}" for name in names)
        super().__init__("hosts", None, f"the hosts that get {shown}, such as -a hosts=api.example.com")
        self.names = names


@dataclass(frozen=True, slots=True)
class Configured:
    """What a setting holds; None stands for nothing. explicit: said with -s, not in settings.py."""

    value: object
    explicit: bool


def read_arguments(
    given: Mapping[str, str],
    configured: Mapping[str, Configured],
    *,
    environ: Mapping[str, str],
    declared: Collection[str] = (),
) -> dict[str, Any]:
    """Give the typed value of every setting in the tables that is built, defaults filled in.

    given: what -a says. configured: the settings that somebody set; Scrapy's own defaults stay out.
    environ: where `${NAME}` is looked up. declared: a subclass's own arguments: not looked at, like all
    that begin with `_`. Raises ArgumentError.
    """
    own = {name: said for name, said in given.items() if name not in declared and not name.startswith("_")}
    _refuse_unknown(own, declared)
    values: dict[str, Any] = {}
    said = set()
    for row in (*ARGUMENTS, *SETTINGS):
        held = configured.get(row.setting)
        if held is not None and held.value is None:
            held = None
        values[row.setting] = _value(row, own.get(row.name), held)
        if row.name in own or (held is not None and held.explicit):
            said.add(row.name)
    if values["CONCURRENT_REQUESTS"] == AUTO:
        values["CONCURRENT_REQUESTS"] = AtMost(values["APIFETCH_WORKERS_MAX"])
    if values["CONCURRENT_REQUESTS_PER_DOMAIN"] is None:
        values["CONCURRENT_REQUESTS_PER_DOMAIN"] = int(values["CONCURRENT_REQUESTS"])
    _check_together(values, said)
    _find_shard(values, environ)
    _check_store(values)
    _check_secrets(values, environ)
    return values


_DEFAULT_COLUMN: Final = next(row.default for row in ARGUMENTS if row.name == "column")

_KNOWN: Final = {name: row for row in (*ARGUMENTS, *SETTINGS) for name in (row.setting.lower(), row.name)}
"""Everything that somebody may have meant."""


def _refuse_unknown(own: Mapping[str, str], declared: Collection[str]) -> None:
    names = [row.name for row in ARGUMENTS]
    for name in own:
        if name in names:
            continue
        near = difflib.get_close_matches(name.lower(), [*_KNOWN, *declared], n=1)
        meant = _KNOWN.get(near[0]) if near else None
        hint = f"did you mean {meant.flag if meant else '-a ' + near[0]}?" if near else "there are "
        hint += "" if near else ", ".join(names)
        # what is misspelt may hold a secret all the same
        private = is_key_name(name) or (meant is not None and meant.private)
        raise ArgumentError(name, STARS if private else mask_url(own[name]), f"an argument that exists ({hint})")


def _value(row: Argument, said: str | None, held: Configured | None) -> Any:
    if said is None:
        return row.default if held is None else row.read(held.value, said_as=row.setting)
    value = row.read(said, said_as=row.name)
    # settings.py is for every run, so what is said for this one goes before; -s and -a are equals
    if held is not None and held.explicit and row.read(held.value, said_as=row.setting) != value:
        other = f"{row.setting}={row.shown(held.value)!r}"
        raise ArgumentError(row.name, row.shown(said), f"the same as -s {other}, or only one of them")
    return value


def _check_together(values: Mapping[str, Any], said: Collection[str]) -> None:
    urls, written = values["APIFETCH_URLS"], values["APIFETCH_FORMAT"]
    if urls is None:
        raise ArgumentError("urls", None, f"a list: {USAGE} (a URL per line is all it takes; `scrapy demo` shows one)")
    if is_shared(urls):
        _check_shared(values)
    if values["APIFETCH_RETRY_BASE_S"] > values["APIFETCH_RETRY_CAP_S"]:
        base_s, cap_s = values["APIFETCH_RETRY_BASE_S"], values["APIFETCH_RETRY_CAP_S"]
        raise ArgumentError("APIFETCH_RETRY_BASE_S", base_s, f"no more than APIFETCH_RETRY_CAP_S={cap_s:g}")
    if values["APIFETCH_PACK"] is not None and values["APIFETCH_SAVE"] == "raw":
        raise ArgumentError("save", "raw", f"envelope with pack={values['APIFETCH_PACK']}, whose lines are envelopes")
    key_header = values["APIFETCH_IDEMPOTENCY_KEY"]
    if key_header and any(name.lower() == key_header.name.lower() for name, _ in values["APIFETCH_HEADERS"]):
        expected = f"headers without {key_header.name}, which would be the same for all calls"
        raise ArgumentError("APIFETCH_IDEMPOTENCY_KEY", str(key_header), expected)
    if (template := values["APIFETCH_TEMPLATE"]) is not None and not _varies(template, values["APIFETCH_DATA"]):
        expected = "a {column} in it or in data, or every line would be the same call"
        raise ArgumentError("template", template, expected)
    if values["APIFETCH_TEMPLATE"] is not None and values["APIFETCH_COLUMN"] != _DEFAULT_COLUMN:
        raise ArgumentError("column", values["APIFETCH_COLUMN"], "no column beside a template, which makes the URLs")
    if "column" in said and written is not None and written.partition(".")[0] == "txt":
        raise ArgumentError("column", values["APIFETCH_COLUMN"], f"no column with format={written}, which has none")


OF_A_LIST: Final = ("format", "column", "template", "method", "data", "limit")
"""What says how lines are read: of a shared list, to who fills it."""

_OF_ONE_LIST: Final = {
    "redo": "other workers may have the records; enqueue failed.jsonl under another name",
    "duplicates": "a shared list holds each call once",
    "shard": "workers take what there is",
}


def _check_shared(values: Mapping[str, Any]) -> None:
    """Refuse what a worker of a shared list cannot do. Raises ArgumentError."""
    for row in ARGUMENTS:
        if values[row.setting] == row.default or row.name not in {*OF_A_LIST, *_OF_ONE_LIST}:
            continue
        why = _OF_ONE_LIST.get(row.name, "say it to scrapy enqueue, which reads the lines")
        raise ArgumentError(row.name, row.shown(str(values[row.setting])), f"no {row.name} with a shared list: {why}")


def _varies(template: str, data: str | None) -> bool:
    """Whether two lines can be two calls."""
    if url_template(template).names:
        return True
    return data is not None and any(body_template(data, columns=columns).names for columns in (True, False))


def _check_store(values: Mapping[str, Any]) -> None:
    out, urls = values["APIFETCH_OUT"], values["APIFETCH_URLS"]
    if is_object_store(out) and values["APIFETCH_PACK"] is not None and is_shared(urls):
        expected = "bodies as they are: packs in an object store are acknowledged by the thousand, and a shared list "
        expected += "gives out no more calls than its workers make at once"
        raise ArgumentError("pack", values["APIFETCH_PACK"], expected)


def _find_shard(values: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Put the part's numbers, where they stand in the environment, in place of `auto`."""
    shard = values["APIFETCH_SHARD"]
    if shard is None:
        return
    try:
        shard = values["APIFETCH_SHARD"] = find_shard(shard, environ)
    except ValueError as exc:
        raise ArgumentError("shard", "auto" + (f"/{shard.count}" if shard.count else ""), str(exc)) from exc
    if shard.is_part and values["APIFETCH_DUPLICATES"] == "fetch":
        expected = "no parts with duplicates=fetch, which counts a call's lines over the whole list"
        raise ArgumentError("shard", str(shard), expected)


def _check_secrets(values: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """What only the command of APIFETCH_SECRET_COMMAND knows is looked at when the run opens."""
    used = list(_used_names(values))
    of_calls = dict.fromkeys(name for argument, name in used if argument != "urls")
    if of_calls and values["APIFETCH_HOSTS"] is None:
        raise HostsNeededError(tuple(of_calls))
    env_file, command = values["APIFETCH_ENV_FILE"], values["APIFETCH_SECRET_COMMAND"]
    try:
        found = {**environ, **(read_env_file(env_file) if env_file else {})}
    except SecretError as exc:
        raise ArgumentError("env_file", env_file, f"a file of lines NAME=VALUE ({exc})") from exc
    where = f"{env_file} or the environment" if env_file else "the environment"
    for argument, name in used if command is None else ():
        if expected := expected_of(name, found.get(name), where):
            raise ArgumentError(argument, f"${{{name}}}", expected)


def _used_names(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for argument in ("headers", "params"):
        for _, text in values[f"APIFETCH_{argument.upper()}"]:
            yield from ((argument, name) for name in names_in(text))
    yield from (("pass_env", name) for name in values["APIFETCH_PASS_ENV"] or ())
    if is_shared(values["APIFETCH_URLS"] or ""):
        yield from (("urls", name) for name in SharedAddress.of(values["APIFETCH_URLS"]).names)


def environment_names(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the names of the variables that arguments and list may use, of what read_arguments gave."""
    return tuple(dict.fromkeys(name for _, name in _used_names(values)))
