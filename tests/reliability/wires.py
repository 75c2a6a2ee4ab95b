"""A wire between a client and PostgreSQL that can be cut, at any message, by a test."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from loaders.database_url import Address

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 65_536


class Wire:
    """Carries every connection to a server, and counts what clients send.

    Attributes:
        address: where clients connect to.
        sent: messages, or parts of them, that clients have sent since `cut_at`.
    """

    def __init__(self, uri: str) -> None:
        host = parse_qs(urlsplit(uri).query)["host"][0]
        self._server = f"{host}/.s.PGSQL.5432"
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.address = Address(f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable")
        self._laid: list[tuple[socket.socket, socket.socket]] = []
        self.cut_at(0)
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def cut_at(self, number: int = 0, *, before: bool = True, word: bytes = b"") -> None:
        """Cut the wire once, from now on.

        Args:
            number: at this message of a client; 0 for none.
            before: before it arrives, else after it, so that the answer is lost.
            word: or after the first message that contains this.
        """
        self.sent = 0
        self._number, self._before, self._word = number, before, word

    def hang_up(self) -> None:
        """Cut every wire now; new ones can be laid."""
        while self._laid:
            _hang_up(*self._laid.pop())

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                self._laid.append((client, server))
                for target, ends in ((self._send, (client, server)), (_carry, (server, client))):
                    threading.Thread(target=target, args=ends, daemon=True).start()

    def _send(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(_CHUNK):
                self.sent += 1
                is_here = self.sent == self._number or (self._word and self._word in data)
                if is_here and self._before and not self._word:
                    break
                if is_here:
                    self._number, self._word = 0, b""
                    client.shutdown(socket.SHUT_RDWR)  # so that no answer gets through
                    server.sendall(data)
                    server.recv(1)
                    break
                server.sendall(data)
        _hang_up(client, server)


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    _hang_up(source, target)


def _hang_up(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextmanager
def wire_to(uri: str) -> Iterator[Wire]:
    """Lay a wire to the server at a URI of a Unix socket."""
    wire = Wire(uri)
    try:
        yield wire
    finally:
        wire.close()
