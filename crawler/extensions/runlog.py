"""run.log, and the mask over every log line of the process: whatever logs, no secret is written."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from crawler.secrets import MaskFilter

if TYPE_CHECKING:
    from pathlib import Path

    from scrapy.settings import BaseSettings

    from crawler.credentials import Secrets

logger = logging.getLogger("apifetch")


class RunLog:
    """Writes the log of one run to a file, in its output directory, until `close`."""

    def __init__(self, path: Path, settings: BaseSettings, secrets: Secrets) -> None:
        self._mask = MaskFilter(secrets.masker)
        secrets.listen(lambda: self._mask.use(secrets.masker))
        self._handler = _open(path)
        self._handler.setFormatter(logging.Formatter(settings["LOG_FORMAT"], settings["LOG_DATEFORMAT"]))
        self._handler.setLevel(settings["LOG_LEVEL"])
        logging.root.addHandler(self._handler)
        self._masked = list(logging.root.handlers)
        for handler in self._masked:
            handler.addFilter(self._mask)

    def close(self) -> None:
        """Close the file. The mask stays on the other handlers: what is logged later may hold the same values."""
        logging.root.removeHandler(self._handler)
        with suppress(OSError):
            self._handler.close()


def _open(path: Path) -> logging.Handler:
    try:
        return _LogFile(path, encoding="utf-8")
    except OSError as exc:
        logger.warning("no %s: %s", path.name, exc)
        return logging.NullHandler()


class _LogFile(logging.FileHandler):
    """A log that a full disk may cut: every line stands on stderr too, so it is not worth a traceback a line."""

    def _open(self) -> Any:
        """As logging's own, but a link that stands there is not followed."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(self.baseFilename, flags, 0o666), self.mode, encoding=self.encoding)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)
