"""The load: many callers on kept connections, all in one thread that costs next to nothing.

Client libraries cost more than the server that they measure. This one sends prepared bytes and
parses a response only to find its end. `measure_ceiling` returns how many answers a second it can
take.
"""

import heapq
import selectors
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

from bench.results import LOST, Answer, Result, Seen, find_header

RECEIVE_BYTES = 65_536

REQUESTS_PER_CONNECTION = 50
"""Then a caller connects anew, as the kernel may have given one worker most of the connections."""

TIMEOUT_SECS = 30

POLL_SECS = 0.1
"""Interval in which pausing callers check for the end (chosen)."""


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


class Caller:
    """One caller on one connection, which waits for each answer before the next request.

    A caller can take part in several runs, and continues where the last one ended.
    """

    def __init__(
        self,
        port: int,
        next_request: NextRequest,
        *,
        group: str = "",
        pause_secs: float = 0.0,
        pause_when_refused_secs: float | None = 0.0,
        requests_per_connection: int = REQUESTS_PER_CONNECTION,
    ) -> None:
        """Prepare a caller.

        Args:
            port: where to connect, on the loopback address.
            next_request: returns the next request, given the last answer.
            group: the result that counts the answers.
            pause_secs: the pause after an answer.
            pause_when_refused_secs: the pause after an answer from 400 on; None: its
                `Retry-After`.
            requests_per_connection: the number of answers before a new connection.
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
        self._is_waiting = False
        self._socket: socket.socket | None = None

    def ask(self, selector: selectors.BaseSelector) -> None:
        """Send the next request."""
        request = self._next_request(self._answer)
        if not self._requests_left:
            self._connect(selector)
        self._requests_left -= 1
        self._is_waiting, self.sent_at = True, time.perf_counter()
        assert self._socket is not None
        self._socket.sendall(request)

    def receive(self, selector: selectors.BaseSelector) -> Answer | None:
        """Take what has arrived; returns the answer once all of it has, or none can come."""
        assert self._socket is not None
        try:
            chunk = self._socket.recv(RECEIVE_BYTES)
        except ConnectionError:
            chunk = b""
        self._received += chunk
        if not chunk:
            self.close(selector)
            return self._take(Answer(LOST, self._received)) if self._is_waiting else None
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank or len(body) < _content_length(head):
            return None
        if b"\r\nconnection: close" in head.lower():
            self._requests_left = 0
        return self._take(Answer(int(head[9:12]), body, head))

    def _take(self, answer: Answer) -> Answer:
        self._answer, self._received, self._is_waiting = answer, b"", False
        return answer

    def pause_secs(self) -> float:
        """The pause before the next request."""
        if self._answer is None or not self._answer.is_refusal:
            return self._pause_secs
        if self._pause_when_refused_secs is None:
            return float(self._answer.header("Retry-After") or 0)
        return self._pause_when_refused_secs

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
    return int(find_header(head, b"content-length") or 0)


def run(callers: Sequence[Caller], seconds: float) -> dict[str, Result]:
    """Let the callers call for a while; what is under way at the end is awaited, not counted.

    Returns:
        The results by group.
    """
    results: dict[str, Result] = defaultdict(lambda: Result(seconds))
    ends_at = time.perf_counter() + seconds
    _call(callers, lambda: time.perf_counter() >= ends_at, results)
    return results


@contextmanager
def flowing(callers: Sequence[Caller]) -> Iterator[dict[str, Result]]:
    """Let the callers call while the block does something else; their results come with its end."""
    results: dict[str, Result] = defaultdict(lambda: Result(0.0))
    is_over, began_at = Event(), time.perf_counter()
    with ThreadPoolExecutor(1) as thread:
        end = thread.submit(_call, callers, is_over.is_set, results)
        try:
            yield results
        finally:
            seconds = time.perf_counter() - began_at
            is_over.set()
        end.result()
    for result in results.values():
        result.seconds = seconds


def _call(
    callers: Sequence[Caller], is_over: Callable[[], bool], results: dict[str, Result]
) -> None:
    with selectors.DefaultSelector() as selector:
        for caller in callers:
            caller.ask(selector)
        try:
            _loop(selector, len(callers), is_over, results)
        finally:
            for caller in callers:
                caller.close(selector)


def _loop(
    selector: selectors.BaseSelector,
    busy: int,
    is_over: Callable[[], bool],
    results: dict[str, Result],
) -> None:
    resting: list[tuple[float, int, Caller]] = []
    heard_at = time.perf_counter()
    while busy:
        wait = resting[0][0] - time.perf_counter() if resting else POLL_SECS
        ready = selector.select(min(max(0.0, wait), POLL_SECS))
        moment, ends = time.perf_counter(), is_over()
        if ready or len(resting) == busy:
            heard_at = moment
        elif moment - heard_at > TIMEOUT_SECS:
            raise RuntimeError("no answer for too long")
        for key, _ in ready:
            caller: Caller = key.data
            answer = caller.receive(selector)
            if answer is None:
                continue
            if ends:
                busy -= 1
                continue
            _count(results[caller.group], answer, caller.sent_at, moment)
            if pause_secs := caller.pause_secs():
                heapq.heappush(resting, (moment + pause_secs, id(caller), caller))
            else:
                caller.ask(selector)
        while resting and (resting[0][0] <= moment or ends):
            caller = heapq.heappop(resting)[2]
            if ends:
                busy -= 1
            else:
                caller.ask(selector)


def _count(result: Result, answer: Answer, sent_at: float, moment: float) -> None:
    refusal = answer if answer.is_refusal else None
    result.seen.append(Seen(sent_at, moment - sent_at, answer.status, refusal))


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
