"""The load: many callers on kept connections, all in one thread that costs next to nothing.

Client libraries cost more than the server that they measure. This one sends bytes that are ready
and looks at a response just far enough to know where it ends. `measure_ceiling` tells how many
answers it could take.
"""

import heapq
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import quantiles

RECEIVE_BYTES = 65_536

REQUESTS_PER_CONNECTION = 50
"""Then a caller connects anew, as the kernel may have given one worker most of the connections."""

TIMEOUT_SECS = 30

REFUSED = 400
"""Statuses from here on."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes


NextRequest = Callable[[Answer | None], bytes]
"""Gives a caller's next request, knowing the answer to the last one."""


def always(request: bytes) -> NextRequest:
    """The same request again and again."""
    return lambda _answer: request


def build_request(method: str, path: str, *, token: str = "", body: bytes = b"") -> bytes:
    """The bytes of a request, as a small client would send them."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", "Accept: */*"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Result:
    """What a group of callers saw.

    Args:
        seconds: how long was counted.
        latencies_secs: of each answer, in the order of their arrival.
        statuses: how many answers of each there were.
        refusals: the answers from 400 on.
    """

    seconds: float
    latencies_secs: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    refusals: list[Answer] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers each second, whatever their status."""
        return len(self.latencies_secs) / self.seconds

    @property
    def p99_ms(self) -> float:
        """The latency that one answer in a hundred exceeds."""
        return quantiles(self.latencies_secs, n=100)[98] * 1000

    def require_success(self) -> "Result":
        """Refuse to count errors as work."""
        if self.refusals:
            raise RuntimeError(f"{dict(self.statuses)}, first: {self.refusals[0]}")
        return self


class Caller:
    """One caller on one connection, who waits for each answer before asking again.

    A caller can take part in several runs, and goes on where the last one ended.
    """

    def __init__(
        self,
        port: int,
        next_request: NextRequest,
        *,
        group: str = "",
        pause_secs: float = 0.0,
        pause_when_refused_secs: float = 0.0,
        requests_per_connection: int = REQUESTS_PER_CONNECTION,
    ) -> None:
        """Prepare a caller.

        Args:
            port: where to connect, on the loopback address.
            next_request: what to ask.
            group: whose result the answers count for.
            pause_secs: how long to rest after an answer.
            pause_when_refused_secs: how long to rest after one from 400 on.
            requests_per_connection: after how many answers to connect anew.
        """
        self.group = group
        self._pause_secs = pause_secs
        self._pause_when_refused_secs = pause_when_refused_secs
        self.sent_at = 0.0
        self._port = port
        self._next_request = next_request
        self._requests_per_connection = requests_per_connection
        self._requests_left = 0
        self._received = b""
        self._answer: Answer | None = None
        self._socket: socket.socket | None = None

    def ask(self, selector: selectors.BaseSelector) -> None:
        """Send the next request."""
        request = self._next_request(self._answer)
        if not self._requests_left:
            self._connect(selector)
        self._requests_left -= 1
        self.sent_at = time.perf_counter()
        assert self._socket is not None
        self._socket.sendall(request)

    def receive(self) -> Answer | None:
        """Take what has arrived; returns the answer once all of it has."""
        assert self._socket is not None
        chunk = self._socket.recv(RECEIVE_BYTES)
        if not chunk:
            raise RuntimeError(f"the server closed a connection; had: {self._received!r}")
        self._received += chunk
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank or len(body) < _content_length(head):
            return None
        if b"\r\nconnection: close" in head.lower():
            self._requests_left = 0
        self._received = b""
        self._answer = Answer(int(head[9:12]), body)
        return self._answer

    def pause_secs(self) -> float:
        """How long to rest now."""
        is_refused = self._answer is not None and self._answer.status >= REFUSED
        return self._pause_when_refused_secs if is_refused else self._pause_secs

    def close(self, selector: selectors.BaseSelector) -> None:
        """Hang up."""
        if self._socket is not None:
            selector.unregister(self._socket)
            self._socket.close()
            self._socket = None
        self._requests_left = 0

    def _connect(self, selector: selectors.BaseSelector) -> None:
        self.close(selector)
        self._socket = socket.create_connection(("127.0.0.1", self._port), TIMEOUT_SECS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(self._socket, selectors.EVENT_READ, self)
        self._requests_left = self._requests_per_connection


def _content_length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0] or 0)


def run(callers: Sequence[Caller], seconds: float) -> dict[str, Result]:
    """Let the callers call for a while; what is under way at the end is awaited, not counted.

    Returns:
        The results by group.
    """
    results: dict[str, Result] = defaultdict(lambda: Result(seconds))
    with selectors.DefaultSelector() as selector:
        for caller in callers:
            caller.ask(selector)
        _loop(selector, len(callers), time.perf_counter() + seconds, results)
        for caller in callers:
            caller.close(selector)
    return results


def _loop(
    selector: selectors.BaseSelector, busy: int, ends_at: float, results: dict[str, Result]
) -> None:
    resting: list[tuple[float, int, Caller]] = []
    while busy:
        wait = resting[0][0] - time.perf_counter() if resting else TIMEOUT_SECS
        ready = selector.select(max(0.0, wait))
        moment = time.perf_counter()
        if not ready and not resting:
            raise RuntimeError("no answer for too long")
        for key, _ in ready:
            caller: Caller = key.data
            answer = caller.receive()
            if answer is None:
                continue
            if moment >= ends_at:
                busy -= 1
                continue
            _count(results[caller.group], answer, moment - caller.sent_at)
            if pause_secs := caller.pause_secs():
                heapq.heappush(resting, (moment + pause_secs, id(caller), caller))
            else:
                caller.ask(selector)
        while resting and (resting[0][0] <= moment or moment >= ends_at):
            caller = heapq.heappop(resting)[2]
            if moment >= ends_at:
                busy -= 1
            else:
                caller.ask(selector)


def _count(result: Result, answer: Answer, latency_secs: float) -> None:
    result.latencies_secs.append(latency_secs)
    result.statuses[answer.status] += 1
    if answer.status >= REFUSED:
        result.refusals.append(answer)


def rate(callers: Sequence[Caller], seconds: float) -> float:
    """Answers each second to all the callers together, every one of which has to be a success."""
    (result,) = run(callers, seconds).values()
    return result.require_success().rate


_ECHO = """
import selectors, socket
listener = socket.create_server(("127.0.0.1", 0), backlog=128)
print(listener.getsockname()[1], flush=True)
selector = selectors.DefaultSelector()
selector.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        if key.fileobj is listener:
            selector.register(listener.accept()[0], selectors.EVENT_READ)
        elif key.fileobj.recv(65536):
            key.fileobj.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
        else:
            selector.unregister(key.fileobj)
            key.fileobj.close()
"""


def measure_ceiling(callers: int, seconds: float) -> float:
    """Answers each second that the load itself can take, from a server that does nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", _ECHO], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            request = always(build_request("GET", "/"))
            return rate([Caller(port, request) for _ in range(callers)], seconds)
        finally:
            server.kill()
