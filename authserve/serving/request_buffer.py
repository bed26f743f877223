"""A buffer for a request that is arriving; gunicorn's parser reads it from memory only.

There is no second parser: a request is whole when gunicorn's parser can read its head and body from
the bytes that have arrived. If the parser needs more, `IncompleteError` is raised and the poller
waits. Then the parser starts again: a head from its first byte, chunks from the last one that
began.

`RequestBuffer` starts the parser only when it can succeed or when the received bytes have doubled.
So a client that sends single bytes causes about as much work as one that sends all at once.
"""

import io
from typing import Any

from gunicorn.config import Config
from gunicorn.http.body import ChunkedReader, LengthReader
from gunicorn.http.errors import (
    InvalidHeader,
    LimitRequestHeaders,
    NoMoreData,
    ParseException,
)
from gunicorn.http.message import Request
from gunicorn.http.unreader import Unreader

from authserve.http.json_body import MAX_BODY_BYTES

MAX_HEAD_BYTES = 32 * 1024
"""Limits request line and headers together: four times what common proxies pass on (chosen)."""

MAX_RAW_BYTES = MAX_HEAD_BYTES + 2 * MAX_BODY_BYTES
"""Limits the bytes that are kept of a request, including the framing of chunks (chosen)."""

PIECE_BYTES = 8 * 1024
"""Limits the bytes that the parser gets at once if it names no size; gunicorn's own figure."""

HEAD_END = b"\r\n\r\n"
"""The end of a head and of a chunked body (RFC 9112 §2.1, §7.1)."""


class LimitBodyError(ParseException):  # type: ignore[misc]
    """A body that is larger than `MAX_BODY_BYTES`, or a request larger than `MAX_RAW_BYTES`."""


class IncompleteError(Exception):
    """A need for bytes that have not arrived.

    Args:
        needed: how many bytes must have been received in total, or None if unknown.
    """

    def __init__(self, needed: int | None) -> None:
        super().__init__(needed)
        self.needed = needed


class MemoryUnreader(Unreader):  # type: ignore[misc]
    """A source for gunicorn's parser that holds the received bytes and never waits."""

    def __init__(self) -> None:
        super().__init__()
        self.received = bytearray()
        self.position = 0
        """Position in `received` of the next byte that `chunk` returns."""
        self.has_ended = False
        """True once the client has closed its side: nothing more will arrive."""

    @property
    def consumed(self) -> int:
        """The number of bytes that the parser has used, without those that it has put back."""
        return self.position - len(self.buf.getbuffer())

    def rewind(self, position: int) -> None:
        """Continue with the byte at `position`."""
        self.buf = io.BytesIO()
        self.position = position

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return the next bytes; gunicorn's parser calls this when it has used all others.

        Args:
            size_hint: the number of bytes left of a body of known length, or of a chunk.

        Raises:
            IncompleteError: the bytes have not arrived yet.
            NoMoreData: the bytes will never arrive: the client has closed its side.
            LimitBodyError: the body or chunk is larger than `MAX_BODY_BYTES`.
        """
        wanted = size_hint or 1
        if wanted > MAX_BODY_BYTES:
            raise LimitBodyError
        if len(self.received) - self.position < wanted:
            if self.has_ended:
                raise NoMoreData
            raise IncompleteError(size_hint and self.position + size_hint)
        end = self.position + (size_hint or PIECE_BYTES)
        piece = bytes(self.received[self.position : end])
        self.position += len(piece)
        return piece


class ResumableChunks(ChunkedReader):  # type: ignore[misc]
    """gunicorn's reader of chunks, changed so that it can resume at the last chunk that began."""

    def __init__(self, request: Request, unreader: MemoryUnreader) -> None:
        self._unreader = unreader
        self._resume_at = (unreader.consumed, 0)
        super().__init__(request, unreader)

    def parse_chunk_size(self, unreader: MemoryUnreader, data: bytes | None = None) -> Any:
        """Record where a chunk begins, and read its size."""
        self._resume_at = (unreader.consumed - len(data or b""), self.buf.tell())
        return super().parse_chunk_size(unreader, data)

    def read(self, size: int) -> bytes:
        """Return `size` bytes of the body, or all of it if it is shorter.

        Raises:
            IncompleteError: a chunk has not arrived as a whole; call `read` again later.
        """
        try:
            data: bytes = super().read(size)
        except IncompleteError:
            position, decoded = self._resume_at
            self._unreader.rewind(position)
            self.buf.seek(decoded)
            self.buf.truncate()
            self.parser = self.parse_chunked(self._unreader)
            raise
        return data


class RequestBuffer:
    """A request that is arriving; gunicorn uses it as the connection's parser.

    Args:
        cfg: gunicorn's settings.
        client: the client's address.
        number: the request's number on its connection, from 1.
    """

    def __init__(self, cfg: Config, client: Any, *, number: int) -> None:
        self.number = number
        self.unreader = MemoryUnreader()
        self.whole_at: float | None = None
        """Time when all of it had arrived, by the monotonic clock; `BufferingWorker` sets it."""
        self._cfg = cfg
        self._client = client
        self._request: Request | None = None
        self._reader: LengthReader | ResumableChunks | None = None
        self._try_at = 0
        self._is_length_known = False

    @property
    def has_head(self) -> bool:
        """Return True once the head has been read."""
        return self._request is not None

    @property
    def awaits_continue(self) -> bool:
        """Return True if the client waits for a 100 before it sends the body (RFC 9110 §10.1.1)."""
        return self._request is not None and self._request._expected_100_continue

    def note_continue(self) -> None:
        """Record that a 100 has been sent or is not needed."""
        if self._request is not None:
            self._request._expected_100_continue = False

    def add(self, data: bytes) -> bool:
        """Add received bytes, and return True once the request is whole.

        Args:
            data: the bytes; empty if the client has closed its side.

        Raises:
            NoMoreData: the client has closed its side in the middle of the request.
            LimitBodyError: the body, or all of the request, is too large.
            ParseException: the request is malformed, or its head is too large.
        """
        received = self.unreader.received
        received += data
        self.unreader.has_ended = not data
        if self._is_due(len(data)) and self._read():
            return True
        if self._request is None and len(received) > MAX_HEAD_BYTES:
            raise LimitRequestHeaders("head")
        if len(received) > MAX_RAW_BYTES:
            raise LimitBodyError
        return False

    def _is_due(self, added: int) -> bool:
        received = self.unreader.received
        if not added or len(received) >= self._try_at:
            return True
        return not self._is_length_known and received.find(HEAD_END, -added - 3) >= 0

    def _read(self) -> bool:
        try:
            if self._request is None:
                self._read_head()
            self._read_body()
        except IncompleteError as error:
            self._is_length_known = error.needed is not None
            self._try_at = error.needed or 2 * len(self.unreader.received)
            return False
        return True

    def _read_head(self) -> None:
        self.unreader.rewind(0)
        request = Request(self._cfg, self.unreader, self._client, self.number)
        if self.unreader.consumed > MAX_HEAD_BYTES:
            raise LimitRequestHeaders("head")
        if request.version >= (1, 1) and all(name != "HOST" for name, _ in request.headers):
            raise InvalidHeader("HOST", req=request)  # RFC 9112 §3.2
        reader = request.body.reader
        is_chunked = isinstance(reader, ChunkedReader)
        self._reader = ResumableChunks(request, self.unreader) if is_chunked else reader
        self._request = request

    def _read_body(self) -> None:
        assert self._request is not None
        assert self._reader is not None
        # One byte more than the limit shows that the body is too large.
        body = self._reader.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise LimitBodyError
        self._request.body = io.BytesIO(body)
        self.note_continue()
        # Keep only the bytes of the next request.
        rest = bytes(self.unreader.received[self.unreader.consumed :])
        self.unreader.received = bytearray()
        self.unreader.rewind(0)
        self.unreader.unread(rest)

    def __next__(self) -> Request:
        """Return the whole request and drop it here; gunicorn calls this."""
        request, self._request = self._request, None
        return request
