"""nginx's side of a case: its configuration, and what its status page and log say. Starts nothing."""

from __future__ import annotations

import http.client
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ANSWER_S: Final = 10.0  # the status page takes a millisecond
TEMPORARY: Final = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
"""nginx makes a folder of each when it starts, by default where only root may."""

# One process and no master: it ends when told to, and reads our folder as us.
CONFIGURATION: Final = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    {temporary}
    {log}
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;  # a connection is closed by the client or never
    keepalive_timeout 1h;
    open_file_cache max=16;  # the one file stays open
    default_type application/json;
    root {folder};
    server {{
        listen {address}:{port}{listen} backlog=1024;
        {tls}
        location / {{ try_files /body.json =404; }}
    }}
    server {{
        listen {address}:{status_port};
        access_log off;
        location / {{ stub_status; }}
    }}
}}
"""

# A line for each call: the connection's serial number, and whether its session was resumed ("r") or is new (".").
LOG: Final = "log_format calls '$connection $ssl_session_reused'; access_log {folder}/access.log calls;"
TLS: Final = "ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;"


def configuration(folder: Path, address: str, *, port: int, status_port: int, tls: bool, http2: bool) -> str:
    """Give the text of nginx.conf. folder: holds body.json, and with tls server.pem and server.key."""
    return CONFIGURATION.format(
        folder=folder, address=address, port=port, status_port=status_port,
        temporary=" ".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY),
        listen=" ssl http2" if http2 else " ssl" if tls else "",
        tls=TLS.format(folder=folder) if tls else "",
        log=LOG.format(folder=folder) if tls else "access_log off;",
    )  # fmt: skip


def new_port(address: str) -> int:
    """Give a port that is free now. Somebody else may take it before nginx does."""
    with closing(socket.create_server((address, 0))) as taken:
        port: int = taken.getsockname()[1]
        return port


def status(address: str, port: int) -> int:
    """Give the connections accepted since the start, this one included."""
    with closing(http.client.HTTPConnection(address, port, timeout=ANSWER_S)) as connection:
        connection.request("GET", "/")
        lines = connection.getresponse().read().decode().splitlines()
    return int(lines[2].split()[0])  # below "server accepts handled requests"


def handshakes_in(lines: Iterable[str]) -> tuple[int, int]:
    """Give (in full, resumed): each connection of a log's lines shook hands once."""
    by_connection = dict(line.split() for line in lines)
    resumed = sum(reused == "r" for reused in by_connection.values())
    return len(by_connection) - resumed, resumed
