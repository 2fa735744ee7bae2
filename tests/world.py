"""An Internet of one's own: `unshare -rnm python -m tests.world WORLD.json -- COMMAND...`.

In network and mount namespaces that nobody else sees, the loopback interface gets any address, a name server of
ours answers, and one HTTP server listens on port 80 of every address. It writes down who was connected to.
Returns what the command returns. Linux only, and only where namespaces are allowed.
"""

from __future__ import annotations

import json
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNSHARE: Final = ("unshare", "--map-root-user", "--net", "--mount")
NAME_SERVER: Final = "127.0.0.53"

A: Final = 1
AAAA: Final = 28


def is_possible() -> bool:
    """Whether this system lets us have one."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    return subprocess.run([*UNSHARE, "ip", "link", "set", "lo", "up"], capture_output=True, check=False).returncode == 0


def within(folder: Path, *, addresses: Sequence[str], names: Mapping[str, Sequence[Sequence[str]]]) -> list[str]:
    """What stands before a command to run it in a world. names: the answers that a name has, one after the other.

    What was connected to is in `connections` afterwards.
    """
    path = folder / "world.json"
    path.write_text(json.dumps({"addresses": [*addresses], "names": names, "log": str(folder / "world.log")}))
    return [*UNSHARE, sys.executable, "-m", "tests.world", str(path), "--"]


def connections(folder: Path) -> Counter[str]:
    """How often each address was connected to, and under `address /path` how often a request came."""
    return Counter((folder / "world.log").read_text().splitlines())


class Pages(BaseHTTPRequestHandler):
    """`/to?URL` redirects there, everything else is an answer; with `close` in its path the connection ends."""

    protocol_version = "HTTP/1.1"
    timeout = 240
    log: Any

    def setup(self) -> None:
        super().setup()
        self.here = self.connection.getsockname()[0]
        self.say(self.here)

    def do_GET(self) -> None:
        self.say(f"{self.here} {self.path}")
        where = unquote(self.path.partition("?")[2]) if self.path.startswith("/to?") else None
        body = b'{"whole": true}'
        self.send_response(200 if where is None else 302)
        if where is not None:
            self.send_header("Location", where.encode().decode("latin-1"))
        if "close" in self.path:
            self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def say(self, line: str) -> None:
        self.log.write(f"{line}\n")
        self.log.flush()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, family: socket.AddressFamily, log: Any) -> None:
        self.address_family = family
        super().__init__(
            ("::" if family is socket.AF_INET6 else "0.0.0.0", 80), type("Logging", (Pages,), {"log": log})
        )

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "world", 80

    def handle_error(self, *_: object) -> None:
        """A client that leaves is none of the test's business."""


def answer_names(server: socket.socket, names: Mapping[str, Sequence[Sequence[str]]]) -> None:
    """RFC 1035, as little of it as a resolver asks for: addresses of names, the next answer at each look-up."""
    asked: Counter[str] = Counter()
    while True:
        query, client = server.recvfrom(512)
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        name, (kind, _) = ".".join(labels).lower(), struct.unpack("!HH", query[at + 1 : at + 5])
        answers = names.get(name, ())
        held = [ip_address(text) for text in answers[min(asked[name], len(answers) - 1)]] if answers else []
        if kind == A:
            asked[name] += 1
        found = [ip.packed for ip in held if ip.version == {A: 4, AAAA: 6}.get(kind)]
        records = b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(packed)) + packed for packed in found)
        flags = 0x8180 if answers else 0x8183
        head = query[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0)
        server.sendto(head + query[12 : at + 5] + records, client)


def main() -> int:
    world, command = json.loads(Path(sys.argv[1]).read_text()), sys.argv[3:]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in world["addresses"]:
        bits = ("-6", "128") if ":" in address else ("-4", "32")
        subprocess.run(["ip", bits[0], "address", "add", f"{address}/{bits[1]}", "dev", "lo"], check=True)
    with tempfile.TemporaryDirectory() as folder, Path(world["log"]).open("w") as log:
        for name, text in (("resolv.conf", f"nameserver {NAME_SERVER}\n"), ("hosts", "127.0.0.1 localhost\n")):
            own = Path(folder) / name
            own.write_text(text)
            subprocess.run(["mount", "--bind", str(own), f"/etc/{name}"], check=True)
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((NAME_SERVER, 53))
        threading.Thread(target=answer_names, args=(server, world["names"]), daemon=True).start()
        for family in (socket.AF_INET, socket.AF_INET6):
            threading.Thread(target=Listener(family, log).serve_forever, daemon=True).start()
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
