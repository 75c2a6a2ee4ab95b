"""Certificates made for a test, and a door in front of a server through which TLS leads."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HERE: Final = "127.0.0.1"

_SSL_REQUEST: Final = bytes.fromhex("0000000804d2162f")
"""What a client of PostgreSQL says first if it wants TLS."""

_CHUNK: Final = 65_536


@dataclass(frozen=True)
class Authority:
    """Who issues certificates; a client that is given `file` trusts them."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    file: Path

    @classmethod
    def found(cls, folder: Path, name: str) -> Authority:
        """Make an authority that nobody knows yet."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _issue(name, key, name, key, hosts=(), days=30, is_authority=True)
        file = folder / f"{name}.pem"
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return cls(certificate, key, file)

    def issue(self, host: str = HERE, *, days: int = 30) -> ssl.SSLContext:
        """Certify a host, until so many days from now, for a server to use."""
        issuer = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _issue("server", key, str(issuer), self.key, hosts=(host,), days=days)
        return self._shown(f"{host}-{days}", certificate, key)

    def itself(self) -> ssl.SSLContext:
        """Show a certificate that its own key has signed."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._shown("self", _issue(HERE, key, HERE, key, hosts=(HERE,), days=30), key)

    def _shown(
        self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> ssl.SSLContext:
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        file = self.file.with_name(f"{self.file.stem}-{name}.pem")
        file.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _issue(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    hosts: tuple[str, ...],
    days: int,
    is_authority: bool = False,
) -> x509.Certificate:
    """Sign a certificate; days below 0 end it before now."""
    until = datetime.now(UTC) + timedelta(days=days)
    public, its_issuer = key.public_key(), issuer_key.public_key()
    built = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - timedelta(days=60))
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(its_issuer), critical=False
        )
    )
    if hosts:
        names = [_general_name(host) for host in hosts]
        built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return built.sign(issuer_key, hashes.SHA256())


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class Door:
    """A port of this computer at which a server that knows no TLS is reached through it.

    Attributes:
        port: where it listens.
        passed: clients that took the certificate and said something.
    """

    def __init__(self, server: str, context: ssl.SSLContext, *, is_postgres: bool) -> None:
        """Open it.

        Args:
            server: path of the server's Unix socket.
            context: with the certificate that is shown.
            is_postgres: a client asks for TLS first, in the clear.
        """
        self._server, self._context, self._is_postgres = server, context, is_postgres
        self.passed = 0
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((HERE, 0))
        self.port = int(self._listener.getsockname()[1])
        self._run(self._accept)

    def close(self) -> None:
        """Close it, once all who went through are gone."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _run(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self._run(self._serve, self._listener.accept()[0])

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(10)
            if self._is_postgres:
                while client.recv(8) != _SSL_REQUEST:  # it may ask for Kerberos first
                    client.sendall(b"N")
                client.sendall(b"S")
            with (
                self._context.wrap_socket(client, server_side=True) as wrapped,
                socket.socket(socket.AF_UNIX) as server,
            ):
                if first := wrapped.recv(_CHUNK):  # a client that refuses says nothing
                    self.passed += 1
                    server.connect(self._server)
                    server.sendall(first)
                    _carry(wrapped, server)


def _carry(client: ssl.SSLSocket, server: socket.socket) -> None:
    """Carry both ways in one thread, since OpenSSL does not let two use a connection."""
    while True:
        ready = [client] if client.pending() else select.select([client, server], [], [])[0]
        for source in ready:
            data = source.recv(_CHUNK)
            if not data:
                return
            (server if source is client else client).sendall(data)


@contextmanager
def door(server: str, context: ssl.SSLContext, *, is_postgres: bool = False) -> Iterator[Door]:
    """Keep a door open as long as the block: `Door`."""
    opened = Door(server, context, is_postgres=is_postgres)
    try:
        yield opened
    finally:
        opened.close()
