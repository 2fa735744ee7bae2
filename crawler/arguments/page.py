"""The page of the arguments, rendered from the table, so that it cannot say anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from crawler.accounting import ExitCode
from crawler.arguments.settings import SETTINGS
from crawler.arguments.table import ARGUMENTS, USAGE
from crawler.items import NO_FAILURE, NO_USABLE_ANSWER, Outcome
from crawler.secrets import MIN_MASKED_CHARS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

_NOT_OK: Final = frozenset(Outcome) - NO_USABLE_ANSWER - NO_FAILURE


def _listed(outcomes: Collection[Outcome]) -> str:
    return " ".join(outcome for outcome in Outcome if outcome in outcomes)


EXIT_CODES: Final[Mapping[ExitCode, str]] = {
    ExitCode.BUG: "a bug",
    ExitCode.USAGE: "a bad argument, or a list that cannot be read; nothing was requested",
    ExitCode.DISK: "the disk is full or may not be written, or the object store refused",
    ExitCode.CREDENTIALS: "the API refused the credentials; what is left is untouched",
    ExitCode.STOPPED: "stopped before the end (signal, quota, budget): run the same command again; "
    "`summary.json` has `stop_reason` and, where known, `resume_at`",
    ExitCode.OTHER_RUN: "another run holds the output directory",
    ExitCode.NO_ANSWER: f"some lines got no usable answer ({_listed(NO_USABLE_ANSWER)})",
    ExitCode.NOT_OK: f"some lines were answered, but not ok ({_listed(_NOT_OK)})",
    ExitCode.INVALID: "only lines that could not be read are missing",
    ExitCode.DONE: "every line is done, or no more than `max_failed` are not",
}
"""In the order in which they are decided: the first that applies is the run's."""

_HEAD: Final = f"""\
# Arguments

    {USAGE}

The list is all that has to be said; everything else has a default. Each argument is given with
`-a NAME=VALUE` and is also a setting, which `-s SETTING=VALUE`, scrapyd's `setting=` and `settings.py` can
give. Where Scrapy has a setting, the argument *is* that setting.

"""

_RULES: Final = """
**Together.** `-a` goes before `settings.py`. The same thing said differently by `-a` and `-s` is an error;
so are an unknown argument, a wrong value, and an argument that is not built yet: exit code 2, before the
first request, with a message that names the argument, the value and what was expected. Arguments that begin
with `_` (scrapyd's `_job`) and those that a subclass of the spider declares pass. `column` excludes
`format=txt` and `template`.

**Text.** An empty value is an error, not a default. Whole numbers are digits alone. Header names and the
names of parameters stand once; several values are a list: `-a 'headers={"Accept": ["text/csv", "*/*"]}'`.
`Host`, `Content-Length`, `Transfer-Encoding` and `Connection` are the client's own to set.
"""

_SECRETS: Final = f"""
## Keys and tokens: `${{NAME}}`

    API_KEY=... {USAGE} -a hosts=api.example.com -a 'headers={{"Authorization": "Bearer ${{API_KEY}}"}}'

A value of `headers` or `params` may hold `${{NAME}}`, the name of an environment variable: letters, digits
and `_`, no digit first. What `APIFETCH_SECRET_COMMAND` prints goes before `env_file`, and that before the
environment. It is filled in where the request goes out, for the hosts of `hosts` alone, so `hosts` is
required then. A variable that is not set, is empty, or holds a line break is an error before the first
request, and so is a `${{` that begins no name. There is no escape: filling in is done once, so a value that
must hold `${{X}}` itself can come from a variable. What a run does when the API refuses what was filled in is
told in [Credentials](credentials.md).

In logs and reports, `***` stands for such values and for what looks like a key in a URL: passwords before
`@`, and parameters whose names end in words such as `key`, `token`, `secret`, `password` or `signature`.
Values of fewer than {MIN_MASKED_CHARS} characters are not searched for in texts, where they would be found in
ordinary words; they are safe because only the request itself ever holds them.

"""


_CODES: Final = """
## Exit codes

In the order in which they are decided, over the present list and not only this run.

"""


def arguments_page() -> str:
    """Give the whole of docs/arguments.md."""
    arguments = ((f"`{row.name}`", f"`{row.setting}`", row.default_text, row.help) for row in ARGUMENTS)
    settings = ((f"`{row.setting}`", row.default_text, row.help) for row in SETTINGS)
    codes = ((str(code.value), meaning) for code, meaning in EXIT_CODES.items())
    return "".join(
        (
            _HEAD,
            _table(("argument", "setting", "default", "meaning"), arguments),
            _RULES,
            _SECRETS,
            "## Settings without an argument\n\n",
            _table(("setting", "default", "meaning"), settings),
            _CODES,
            _table(("code", "meaning"), codes),
        )
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (head, ("---",) * len(head), *rows)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
