"""A client's certificate goes to whom the list names, and to nobody who is only redirected to."""

from __future__ import annotations

import json
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from cryptography.hazmat.primitives import serialization

from tests.audit import audit
from tests.hostile.certificates import Signed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import Crawl


class Asking(BaseHTTPRequestHandler):
    """Says whose certificate came; `/to?URL` redirects there."""

    protocol_version = "HTTP/1.1"
    connection: ssl.SSLSocket

    def do_GET(self) -> None:
        who: Any = self.connection.getpeercert()
        name = dict(pair[0] for pair in who["subject"])["commonName"] if who else None
        body = json.dumps({"certificate": name}).encode()
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", unquote(self.path[4:]))
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that leaves is none of the test's business."""


@contextmanager
def asking(context: ssl.SSLContext) -> Iterator[str]:
    """The origin of a server that asks for a certificate, and takes whoever has none."""
    with Quiet(("127.0.0.1", 0), Asking) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()


def pem(path: Path, signed: Signed) -> Path:
    key = signed.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(key + signed.chain)
    return path


def test_a_certificate_goes_to_the_lists_hosts_and_not_where_they_redirect_to(crawl: Crawl) -> None:
    authority = Signed.make("authority", authority=True)
    (crawl.cwd / "ca.pem").write_bytes(authority.chain)
    context = Signed.make("server", issuer=authority).context(crawl.cwd)
    context.load_verify_locations(crawl.cwd / "ca.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    mine = pem(crawl.cwd / "mine.pem", Signed.make("me", issuer=authority))
    with asking(context) as here, asking(context) as there:
        urls = [f"{here}/1", f"{here}/to?/2", f"{here}/to?{there}/3", f"{there}/4", f"{here}/to?{there}/5"]
        result = crawl(
            urls, save="raw", workers=1,
            settings={"APIFETCH_CA_FILE": "ca.pem", "APIFETCH_CLIENT_CERT": mine, "APIFETCH_CLIENT_KEY": mine},
        )  # fmt: skip
    audit(result, 0)
    rows = result.rows("select location from records order by line")
    shown = [json.loads((result.out / row["location"]).read_bytes())["certificate"] for row in rows]
    assert shown == ["me", "me", None, "me", None]  # the last one on no connection that knows it
