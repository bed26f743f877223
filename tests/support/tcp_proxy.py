"""One address on loopback before several servers, as a failover leaves it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread


class TCPProxy:
    """A proxy that passes each new connection to the server that `target` names at that time.

    Open connections stay with their server, as those of a real proxy do.

    Args:
        target: the path of a server's Unix socket.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.socket(socket.AF_UNIX)
                self._sockets += [client, server]
                server.connect(self.target)
                for source, sink in ((client, server), (server, client)):
                    self._threads.append(Thread(target=_copy, args=(source, sink)))
                    self._threads[-1].start()

    def close(self) -> None:
        """End it, with all of its connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for each in self._sockets:
            _shut(each)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    _shut(source)
    _shut(sink)


def _shut(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)


@contextmanager
def tcp_proxy(target: str) -> Iterator[TCPProxy]:
    """Open a proxy for the time of a block."""
    proxy = TCPProxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
