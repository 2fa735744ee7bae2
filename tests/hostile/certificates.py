"""The certificates of the hostile server, good and bad, made anew for each process. Knows `ssl` and nothing of HTTP."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS: Final = "127.0.0.1"
DAY: Final = timedelta(days=1)

_NO_ENCRYPTION: Final = serialization.NoEncryption()


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate and its key. chain: PEM of what a server sends, its own first."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    chain: bytes

    @classmethod
    def make(
        cls, name: str, *, issuer: Signed | None = None, authority: bool = False, days: tuple[int, int] = (-1, 2),
        host: str | None = ADDRESS,
    ) -> Self:  # fmt: skip
        """issuer: None for a certificate that vouches for itself. days: first and last, from today. host: its
        subjectAltName, an address or a name; None for none."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + days[0] * DAY)
            .not_valid_after(now + days[1] * DAY)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if host is not None and not authority:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
        certificate = builder.sign(issuer.key if issuer else key, hashes.SHA256())
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        sent = pem + issuer.chain if issuer and issuer.certificate.issuer != issuer.certificate.subject else pem
        return cls(key, certificate, sent)

    def context(self, folder: Path) -> ssl.SSLContext:
        """A server's context; `ssl` reads certificates from files alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.write(folder))
        return context

    def write(self, folder: Path) -> Path:
        """The path of a PEM file with key and chain."""
        path = folder / f"{self.certificate.serial_number:x}.pem"
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, _NO_ENCRYPTION
        )  # fmt: skip
        path.write_bytes(pem + self.chain)
        return path


def make_contexts(folder: Path) -> tuple[Path, dict[str, ssl.SSLContext]]:
    """The file of the authority that the crawl trusts, and a server's context for each name of a certificate."""
    authority = Signed.make("hostile authority", authority=True)
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(authority.chain)
    good = Signed.make("good", issuer=authority)
    of = {
        "good": good,
        "self-signed": Signed.make("self-signed"),
        "expired": Signed.make("expired", issuer=authority, days=(-3, -1)),
        "not-yet-valid": Signed.make("not yet valid", issuer=authority, days=(1, 3)),
        "wrong-name": Signed.make("wrong name", issuer=authority, host="other.example"),
        "wrong-address": Signed.make("wrong address", issuer=authority, host="127.0.0.2"),
        "name-in-subject-only": Signed.make(ADDRESS, issuer=authority, host="other.example"),
        "unknown-authority": Signed.make("x", issuer=Signed.make("another authority", authority=True)),
        "signed-by-a-leaf": Signed.make("signed by a leaf", issuer=good),
    }
    contexts = {name: signed.context(folder) for name, signed in of.items()}
    contexts["h2"] = good.context(folder)
    contexts["h2"].set_alpn_protocols(["h2"])
    contexts["at-most-1.2"] = good.context(folder)
    contexts["at-most-1.2"].maximum_version = ssl.TLSVersion.TLSv1_2
    contexts["at-most-1.0"] = good.context(folder)
    contexts["at-most-1.0"].set_ciphers("ALL:@SECLEVEL=0")
    contexts["at-most-1.0"].minimum_version = contexts["at-most-1.0"].maximum_version = ssl.TLSVersion.TLSv1
    contexts["asks-for-a-certificate"] = good.context(folder)
    contexts["asks-for-a-certificate"].load_verify_locations(ca_file)
    contexts["asks-for-a-certificate"].verify_mode = ssl.CERT_REQUIRED
    contexts["asks-for-a-certificate"].maximum_version = ssl.TLSVersion.TLSv1_2  # later the client hears of it too late
    return ca_file, contexts


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
