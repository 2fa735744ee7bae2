"""The hostile server: `python -m tests.hostile.server [--tls]`, a port of its own for each behaviour.

Ports, not paths: some behaviours come before the request, and no connection is shared by two of them. Prints
one line of JSON, `{"ca_file": ..., "urls": {name: url}}`, and ends when its stdin does. With --tls every
behaviour that names no door is behind TLS.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.hostile.behaviour import PLAIN, TLS, Door, End
from tests.hostile.certificates import ADDRESS, make_contexts
from tests.hostile.peer import Peer
from tests.hostile.table import BEHAVIOURS

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping

    from tests.hostile.behaviour import Behaviour

BACKLOG: Final = 16  # a behaviour has a request or two


class HostileServer:
    """Serves behaviours; urls: where each one is, by name."""

    def __init__(self, contexts: Mapping[str, ssl.SSLContext], *, door: Door) -> None:
        self.urls: dict[str, str] = {}
        self._contexts = contexts
        self._door = door

    async def start(self, behaviour: Behaviour) -> None:
        door = behaviour.door or self._door
        context = self._contexts[door.certificate] if door.certificate is not None else None
        on_connection = partial(self._on_connection, behaviour, itertools.count(1))
        server = await asyncio.start_server(on_connection, ADDRESS, 0, ssl=context, backlog=BACKLOG)
        port = server.sockets[0].getsockname()[1]
        self.urls[behaviour.name] = f"{door.scheme}://{ADDRESS}:{port}/{behaviour.name}"

    async def _on_connection(
        self, behaviour: Behaviour, numbers: Iterator[int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        peer = Peer(reader, writer, name=behaviour.name, number=next(numbers), urls=self.urls)
        try:
            await behaviour.serve(peer)
            await peer.end(End.FIN)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has left, or the server is told to end
        finally:
            writer.transport.abort()


async def serve(*, door: Door, folder: Path) -> None:
    """Serve every behaviour until stdin ends. folder: for certificates."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    threading.Thread(target=_await_end_of_stdin, args=(loop, stopped), daemon=True).start()
    ca_file, contexts = make_contexts(folder)
    server = HostileServer(contexts, door=door)
    for behaviour in BEHAVIOURS:
        await server.start(behaviour)
    print(json.dumps({"ca_file": str(ca_file), "urls": server.urls}), flush=True)
    await stopped.wait()


def _await_end_of_stdin(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    loop.call_soon_threadsafe(stopped.set)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.server", description="A server that does all wrong.")
    parser.add_argument("--tls", action="store_true", help="every behaviour that names no door is behind TLS")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        asyncio.run(serve(door=TLS if args.tls else PLAIN, folder=Path(folder)))


if __name__ == "__main__":
    main()
