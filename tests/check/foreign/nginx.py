"""nginx: the server that most APIs stand behind, on one port plain and on one with TLS and HTTP/2."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.check.foreign.process import ForeignServer, free_port, program
from tests.hostile.certificates import Signed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG: Final = """\
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{ worker_connections 1024; }}

http {{
    log_format served '$server_port $connection $server_protocol $status $sent_http_content_encoding $request_uri';
    access_log {folder}/access.log served;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    default_type application/json;
    keepalive_requests 1000000;  # default 1000: it would close connections that could be kept
    limit_req_zone $binary_remote_addr zone=slow:1m rate=10r/s;

    server {{
        listen 127.0.0.1:{plain} backlog=1024;
        listen 127.0.0.1:{tls} ssl http2 backlog=1024;
        server_name 127.0.0.1;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        root {folder}/files;
        location /items/ {{ return 200 '{{"uri": "$request_uri"}}'; }}
        location /packed/ {{ alias {folder}/files/; gzip on; gzip_types application/json; gzip_min_length 1; }}
        location /limited/ {{ limit_req zone=slow; limit_req_status 429; try_files /small.json =500; }}
        location /moved/ {{ rewrite ^/moved/(.*)$ /$1 permanent; }}
        location /refused/ {{ deny all; }}
        location /closed/ {{ return 444; }}
    }}
}}
"""


class Hit(NamedTuple):
    """A line of the access log. connection: its number. coding: `-` for none."""

    connection: str
    protocol: str
    status: str
    coding: str
    target: str


@dataclass(frozen=True, slots=True)
class Nginx:
    """Running. plain, tls: origins. folder: of its files and log. ca_file: whom to trust."""

    plain: str
    tls: str
    folder: Path
    ca_file: Path

    @property
    def files(self) -> Path:
        return self.folder / "files"

    def served(self, origin: str) -> list[Hit]:
        """What came to *origin*'s port, so far."""
        port = origin.rpartition(":")[2]
        hits = [line.split(" ", 1) for line in (self.folder / "access.log").read_text().splitlines()]
        return [Hit(*hit.split(" ", 4)) for at, hit in hits if at == port]


@contextmanager
def nginx(folder: Path) -> Iterator[Nginx]:
    path = program("nginx")
    authority = Signed.make("authority", authority=True)
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(authority.chain)
    good = Signed.make("good", issuer=authority)
    good.context(folder)  # writes the file of key and chain
    (certificate,) = folder.glob(f"{good.certificate.serial_number:x}.pem")
    (folder / "files").mkdir()
    plain, tls = free_port(), free_port()
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, plain=plain, tls=tls, certificate=certificate, user=_user(folder)))
    command = [path, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(config)]
    with ForeignServer(command, port=plain, folder=folder):
        yield Nginx(f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{tls}", folder, ca_file)


def _user(folder: Path) -> str:
    """Root's nginx changes to nobody, who may not read the test's files."""
    return "user root;" if folder.stat().st_uid == 0 else ""
