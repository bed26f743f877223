"""A request that is arriving, which gunicorn's parser reads from memory alone.

There is no second parser: a request is whole when gunicorn's can read its head and its body from
the bytes that have arrived. A parser that needs more raises `IncompleteError`, the poller waits for
more, and the parser starts again: with the head from its first byte, with chunks from the last one
that began. `RequestBuffer` lets it try only where that can succeed, or where as much again has
arrived, so that a client that sends single bytes causes no more work than one that sends them all.
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
"""Limits request line and headers together; four times what common proxies pass on (chosen)."""

MAX_RAW_BYTES = MAX_HEAD_BYTES + 2 * MAX_BODY_BYTES
"""Limits everything that is kept, the framing of chunks included (chosen)."""

PIECE_BYTES = 8 * 1024
"""Limits what the parser is given at once where it names no size; gunicorn's own figure."""

HEAD_END = b"\r\n\r\n"
"""Ends a head, and a body of chunks (RFC 9112 §2.1, §7.1)."""


class LimitBodyError(ParseException):  # type: ignore[misc]
    """The body is larger than any that is read."""


class IncompleteError(Exception):
    """The parser needs bytes that have not arrived.

    Args:
        needed: how many must have been received in all, where the parser knows.
    """

    def __init__(self, needed: int | None) -> None:
        super().__init__(needed)
        self.needed = needed


class MemoryUnreader(Unreader):  # type: ignore[misc]
    """A source for gunicorn's parser that holds what has arrived, and waits for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.received = bytearray()
        self.position = 0
        """Of the next byte that `chunk` returns."""
        self.has_ended = False
        """True once the client has closed its side: nothing more will arrive."""

    @property
    def consumed(self) -> int:
        """How many bytes the parser has used, without what it has put back."""
        return self.position - len(self.buf.getbuffer())

    def rewind(self, position: int) -> None:
        """Go on with the byte at `position` next."""
        self.buf = io.BytesIO()
        self.position = position

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return the next bytes; gunicorn's parser calls this when it has used up the last ones.

        Args:
            size_hint: how much is left of a body of known length, or of a chunk.

        Raises:
            IncompleteError: they have not arrived.
            NoMoreData: they will not arrive.
            LimitBodyError: that body or chunk is too large to be read.
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
    """gunicorn's reader of chunks, which starts again at the last chunk that began."""

    def __init__(self, request: Request, unreader: MemoryUnreader) -> None:
        self._unreader = unreader
        self._resume_at = (unreader.consumed, 0)
        super().__init__(request, unreader)

    def parse_chunk_size(self, unreader: MemoryUnreader, data: bytes | None = None) -> Any:
        """Note where a chunk begins, and read its size."""
        self._resume_at = (unreader.consumed - len(data or b""), self.buf.tell())
        return super().parse_chunk_size(unreader, data)

    def read(self, size: int) -> bytes:
        """Return `size` bytes, or all there are.

        Raises:
            IncompleteError: the last chunk has not arrived; `read` can be called again.
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
    """A request that is arriving; gunicorn takes it for the connection's parser.

    Args:
        cfg: gunicorn's settings.
        client: the client's address.
        number: how many requests the connection has brought, this one included.
    """

    def __init__(self, cfg: Config, client: Any, *, number: int) -> None:
        self.number = number
        self.unreader = MemoryUnreader()
        self.whole_at: float | None = None
        """When a thread could begin, by the monotonic clock; set by whoever hands it over."""
        self._cfg = cfg
        self._client = client
        self._request: Request | None = None
        self._reader: LengthReader | ResumableChunks | None = None
        self._try_at = 0
        self._is_length_known = False

    @property
    def has_head(self) -> bool:
        """True once the head has been read."""
        return self._request is not None

    @property
    def awaits_continue(self) -> bool:
        """True if the client waits for a 100 before it sends the body (RFC 9110 §10.1.1)."""
        return self._request is not None and self._request._expected_100_continue

    def note_continue(self) -> None:
        """Note that a 100 has been sent, or is not needed."""
        if self._request is not None:
            self._request._expected_100_continue = False

    def add(self, data: bytes) -> bool:
        """Take what has arrived, and return True once the request is whole.

        Args:
            data: empty if the client has closed its side.

        Raises:
            NoMoreData: the client has closed its side in the middle of the request.
            LimitBodyError: the body is too large.
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
        # One byte more tells that there is more.
        body = self._reader.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise LimitBodyError
        self._request.body = io.BytesIO(body)
        self.note_continue()
        # What belongs to the next request is all that is kept.
        rest = bytes(self.unreader.received[self.unreader.consumed :])
        self.unreader.received = bytearray()
        self.unreader.rewind(0)
        self.unreader.unread(rest)

    def __next__(self) -> Request:
        """Return the whole request, and keep it no longer."""
        request, self._request = self._request, None
        return request
