"""How much of a request has come: enough for a thread to go through it without waiting?

This only finds a request's end. What is malformed counts as whole, so that gunicorn's parser
refuses it; nothing here decides what a request means.
"""

import re
from dataclasses import dataclass, field

from authserve.http.json_body import MAX_BODY_BYTES

MAX_HEAD_BYTES = 32 * 1024
"""Of request line and headers together; four times what common proxies pass on (chosen)."""

MAX_RAW_BYTES = MAX_HEAD_BYTES + 2 * MAX_BODY_BYTES
"""Of everything, the framing of chunks included (chosen)."""

_REQUEST_LINE = re.compile(rb"[^ \r\n]+ [^ \r\n]+ HTTP/1\.([0-9])\r\n")
_FRAMING = re.compile(rb"\r\n(content-length|transfer-encoding|expect):[ \t]*([^\r\n]*)", re.I)
_LENGTH = re.compile(rb"[0-9]{1,9}")
_CHUNK_SIZE = re.compile(rb"([0-9a-f]{1,8})[ \t]*(?:;[^\r\n]*)?", re.I)


@dataclass(slots=True)
class Arrival:
    """A request on its way in; each byte is looked at once, however few come at a time."""

    received: bytearray = field(default_factory=bytearray)
    awaits_continue: bool = False
    """Whether the client waits for a 100 (RFC 9110 §10.1.1); whoever sends it sets this back."""
    is_whole: bool = False
    """Whether nothing is missing that a thread would wait for: all is there, or is refused."""
    is_complete: bool = False
    """Whether its end is there, after which another request may begin."""
    is_too_large: bool = False
    """Whether it is larger than any request that is read."""
    whole_at: float | None = None
    """When a thread could have begun, by the monotonic clock; whoever hands it over sets this."""
    _next: int = 0
    """Where to go on looking."""
    _body_start: int | None = None
    _end: int | None = None
    """Where a body of a known length ends."""
    _body_bytes: int = 0
    """What the chunks so far hold."""

    @property
    def is_head(self) -> bool:
        """Whether what there is so far are header fields, or too many of them."""
        return self._body_start is None or self._body_start > MAX_HEAD_BYTES

    def add(self, data: bytes) -> None:
        """Take what came."""
        self.received += data
        if self._body_start is None:
            self._look_for_head()
        if self._body_start is not None and not self.is_whole:
            self._look_for_body()
        self.is_too_large = self._is_too_large()

    def _is_too_large(self) -> bool:
        # However it was cut into pieces: a head is judged by its length, if it has ended or not.
        if self._body_start is not None and self._body_start <= MAX_HEAD_BYTES:
            return not self.is_whole and len(self.received) > MAX_RAW_BYTES
        return (self._body_start or len(self.received)) > MAX_HEAD_BYTES

    def _look_for_head(self) -> None:
        received = self.received
        line_end = received.find(b"\n")
        if line_end < 0:
            return
        request_line = _REQUEST_LINE.match(received)
        if request_line is None:
            self.is_whole = True
            return
        start = max(self._next, line_end - 1)
        head_end = received.find(b"\r\n\r\n", start)
        if head_end < 0:
            self._next = len(received) - 3
            return
        self._body_start = self._next = head_end + 4
        self._read_framing(bytes(received[line_end - 1 : head_end]))
        if request_line[1] == b"0" and self._end is None and not self.is_complete:
            self.is_whole = True  # HTTP/1.0 knows no chunks.

    def _read_framing(self, head: bytes) -> None:
        found = [(name.lower(), value.strip()) for name, value in _FRAMING.findall(head)]
        values = {name: value for name, value in found if name != b"expect"}
        if len(found) - len([name for name, _ in found if name == b"expect"]) != 1:
            # No body, or one of which two readers could see two ends, which is refused.
            self.is_whole, self.is_complete = True, not values
        elif b"content-length" in values:
            length = values[b"content-length"]
            is_read = _LENGTH.fullmatch(length) and int(length) <= MAX_BODY_BYTES
            self.is_whole = not is_read
            self._end = self._next + int(length) if is_read else None
        else:
            self.is_whole = b"chunked" not in values[b"transfer-encoding"].lower()
        self.awaits_continue = not self.is_whole and (b"expect", b"100-continue") in [
            (name, value.lower()) for name, value in found
        ]

    def _look_for_body(self) -> None:
        if self._end is not None:
            self.is_whole = self.is_complete = len(self.received) >= self._end
            return
        while not self.is_whole and self._step_over_chunk():
            pass

    def _step_over_chunk(self) -> bool:
        """Go on to the next chunk's size (RFC 9112 §7.1), if there is a whole chunk before it."""
        line_end = self.received.find(b"\r\n", self._next)
        if line_end < 0:
            return False
        size = _CHUNK_SIZE.fullmatch(self.received, self._next, line_end)
        if size is None:
            self.is_whole = True
        elif int(size[1], 16) == 0:
            # Trailers may follow the last one, and then an empty line.
            self.is_whole = self.is_complete = self.received.find(b"\r\n\r\n", line_end) >= 0
            return self.is_whole
        elif len(self.received) >= line_end + int(size[1], 16) + 4:
            self._body_bytes += int(size[1], 16)
            self._next = line_end + int(size[1], 16) + 4
            self.is_whole = self._body_bytes > MAX_BODY_BYTES
        else:
            # A larger chunk than any body may be needs no waiting for.
            self.is_whole = len(self.received) - line_end > MAX_BODY_BYTES + 2
            return self.is_whole
        return True
