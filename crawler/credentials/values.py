"""The values of a run's `${NAME}`: where they come from, and how they are read again.

Owns the order of the sources: what the command prints goes before the file, the file before the environment.
Never says a value, not even in an error.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.credentials.command import ask, ask_aside
from crawler.credentials.env_file import read_env
from crawler.exceptions import SecretError
from crawler.headers import UNPRINTABLE
from crawler.secrets import Masker, filled_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from crawler.values import Pairs


def read_env_file(path: str) -> dict[str, str]:
    """Give name -> value of a file. Raises SecretError, which names it."""
    try:
        return read_env(Path(path).read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise SecretError(f"{path} is no UTF-8") from None
    except ValueError as exc:
        raise SecretError(f"{path}: {exc}") from exc
    except OSError as exc:
        raise SecretError(f"{path}: {exc.strerror}") from exc


def stand_in(values: Iterable[str]) -> str:
    """Give what stands for credentials where others have to tell them apart: too short to find them by. "": none."""
    known = sorted(set(values))
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:8] if known else ""


class Secrets:
    """What `${NAME}` stands for in this run.

    values: of *names*, as they are now. known: all values so far. masker: keeps them out of texts.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        environ: Mapping[str, str],
        env_file: str | None = None,
        command: Sequence[str] | None = None,
        params: Pairs = (),
    ) -> None:
        """Read them. Raises SecretError.

        command: the words of one that prints them, not run where there are no names. params: where they go out.
        """
        self.names = names
        self._environ = environ
        self._env_file = env_file
        self._command = command if names else None
        printed = "what APIFETCH_SECRET_COMMAND prints" if self._command else None
        self._where = " or ".join(filter(None, (printed, env_file, "the environment")))
        self._listeners: list[Callable[[], None]] = []
        self._params = params
        self.known: set[str] = set()
        self._take(ask(self._command) if self._command else {})

    @property
    def may_change(self) -> bool:
        """Whether there is something to be read again: the environment of a process stays as it is."""
        return bool(self.names) and (self._env_file is not None or self._command is not None)

    def listen(self, changed: Callable[[], None]) -> None:
        """Call *changed* whenever the values have changed."""
        self._listeners.append(changed)

    async def renew(self) -> bool:
        """Read them again; whether one has changed. Raises SecretError: then they stay as they were."""
        if not self.may_change:
            return False
        before = self.values
        self._take(await ask_aside(self._command) if self._command else {})
        if self.values == before:
            return False
        for changed in self._listeners:
            changed()
        return True

    def _take(self, printed: Mapping[str, str]) -> None:
        found = {**self._environ, **(read_env_file(self._env_file) if self._env_file else {}), **printed}
        for name in self.names:
            if expected := expected_of(name, found.get(name), self._where):
                raise SecretError(f"${{{name}}}: expected {expected}")
        self.values = {name: found[name] for name in self.names}
        self.known.update(self.values.values())
        self.masker = Masker(self.known, query=filled_query(self._params, self.values))


def expected_of(name: str, value: str | None, where: str) -> str | None:
    """Give what is expected of a value that cannot be filled in for `${name}`; None for one that can."""
    if not value:
        return f"{name} to be set in {where}, and not to be empty"
    if UNPRINTABLE.search(value):
        return f"{name} to hold no line break and no other control character"
    return None
