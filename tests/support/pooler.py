"""Poolers in transaction mode: one of our own, and a real PgBouncer if installed."""

import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue
from threading import Thread

from tests.support.crowd import DEADLINE_SECS
from tests.support.ports import reserved_port

SERVER_CONNECTIONS = 4

_SSL_REQUEST, _GSS_REQUEST, _PROTOCOL = 80_877_103, 80_877_104, 196_608

_PARAMETERS = {
    "server_version": "16.0",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "DateStyle": "ISO, MDY",
    "TimeZone": "UTC",
    "integer_datetimes": "on",
}


class ClosedError(Exception):
    """The other side has closed the connection."""


def _receive(line: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = line.recv(size - len(data))
        if not part:
            raise ClosedError
        data += part
    return data


def _read_message(line: socket.socket) -> tuple[bytes, bytes]:
    kind, size = struct.unpack("!cI", _receive(line, 5))
    return kind, _receive(line, size - 4)


def _message(kind: bytes, payload: bytes) -> bytes:
    return kind + struct.pack("!I", len(payload) + 4) + payload


def _text(*parts: str) -> bytes:
    return b"".join(part.encode() + b"\0" for part in parts)


class StandInPooler:
    """A pooler that gives each transaction the longest idle connection, without settings.

    Like PgBouncer, it refuses clients that set something for their session (`options`). It knows
    the simple query protocol alone, which is all that psycopg2 speaks.

    Args:
        server: the path of the server's Unix socket.
        user: whom the server knows.
    """

    def __init__(self, server: str, *, user: str) -> None:
        self._server, self._user = server, user
        self._idle: dict[str, Queue[socket.socket]] = {}
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                self._sockets.append(client)
                self._threads.append(Thread(target=self._serve, args=[client]))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError, ClosedError), client:
            idle = self._greet(client)
            if idle is None:
                return
            while True:
                kind, payload = _read_message(client)
                if kind == b"X":
                    return
                self._run_transaction(client, _message(kind, payload), idle)

    def _greet(self, client: socket.socket) -> "Queue[socket.socket] | None":
        """Answer the start of a session and return the connections to its database."""
        while True:
            (size,) = struct.unpack("!I", _receive(client, 4))
            packet = _receive(client, size - 4)
            (code,) = struct.unpack("!I", packet[:4])
            if code not in (_SSL_REQUEST, _GSS_REQUEST):
                break
            client.sendall(b"N")
        words = packet[4:].decode().split("\0")
        sent = dict(zip(words[::2], words[1::2], strict=False))
        if "options" in sent:
            said = _text("SFATAL", "C08P01", "Munsupported startup parameter: options") + b"\0"
            client.sendall(_message(b"E", said))
            return None
        answer = _message(b"R", struct.pack("!I", 0))
        for pair in _PARAMETERS.items():
            answer += _message(b"S", _text(*pair))
        client.sendall(answer + _message(b"K", bytes(8)) + _message(b"Z", b"I"))
        return self._connections(sent["database"])

    def _connections(self, database: str) -> "Queue[socket.socket]":
        if database not in self._idle:
            connections: Queue[socket.socket] = Queue()
            for _ in range(SERVER_CONNECTIONS):
                connections.put(self._connect(database))
            self._idle.setdefault(database, connections)
        return self._idle[database]

    def _connect(self, database: str) -> socket.socket:
        line = socket.socket(socket.AF_UNIX)
        self._sockets.append(line)
        line.connect(self._server)
        words = _text("user", self._user, "database", database, "client_encoding", "UTF8")
        packet = struct.pack("!I", _PROTOCOL) + words + b"\0"
        line.sendall(struct.pack("!I", len(packet) + 4) + packet)
        while _read_message(line)[0] != b"Z":
            pass
        return line

    def _run_transaction(
        self, client: socket.socket, message: bytes, idle: "Queue[socket.socket]"
    ) -> None:
        server = idle.get(timeout=DEADLINE_SECS)
        try:
            while not _answer(server, message, client):
                kind, payload = _read_message(client)
                message = _message(kind, payload)
        finally:
            _answer(server, _message(b"Q", _text("ROLLBACK")), None)
            _answer(server, _message(b"Q", _text("DISCARD ALL")), None)
            idle.put(server)

    def close(self) -> None:
        """End it, with all of its connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for line in self._sockets:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for line in self._sockets:
            line.close()


def _answer(server: socket.socket, message: bytes, client: socket.socket | None) -> bool:
    """Forward a message and its answer; return True if no transaction is open after it."""
    server.sendall(message)
    answer = b""
    while True:
        kind, payload = _read_message(server)
        answer += _message(kind, payload)
        if kind == b"Z":
            break
    if client is not None:
        client.sendall(answer)
    return payload == b"I"


@contextmanager
def stand_in_pooler(socket_folder: Path, user: str) -> Iterator[int]:
    """Run our own pooler for the time of a block; yield its port."""
    pooler = StandInPooler(str(socket_folder / ".s.PGSQL.5432"), user=user)
    try:
        yield pooler.port
    finally:
        pooler.close()


def find_pgbouncer() -> str | None:
    """The program of a real PgBouncer, if this machine has one."""
    return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


@contextmanager
def pgbouncer(program: str, socket_folder: Path, user: str, folder: Path) -> Iterator[int]:
    """Run a PgBouncer for the time of a block; yield its port."""
    with reserved_port() as port, _running_pgbouncer(program, socket_folder, user, folder, port):
        yield port


@contextmanager
def _running_pgbouncer(
    program: str, socket_folder: Path, user: str, folder: Path, port: int
) -> Iterator[None]:
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n* = host={socket_folder} user={user}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        "auth_type = any\npool_mode = transaction\nserver_round_robin = 1\n"
        f"default_pool_size = {SERVER_CONNECTIONS}\nmin_pool_size = {SERVER_CONNECTIONS}\n"
    )
    # It does not run as root; the owner of the server's files can open its socket.
    command = [program, str(configuration)]
    if os.geteuid() == 0:
        command[1:1] = ["-u", socket_folder.owner()]
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_for(port, process, folder / "pgbouncer.log")
        yield
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    give_up = time.monotonic() + DEADLINE_SECS
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < give_up, log.read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
