"""A command that ends with whoever started it: run as `python -m crawler.fleet.held MODULE ARGUMENT...`.

Its standard input is a pipe that the starter holds and writes nothing to, so that its end is the starter's, however
that came about. Then the command is told to stop, in good order, as by a signal.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def _watch() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    threading.Thread(target=_watch, daemon=True).start()  # waits in the system: costs nothing
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
