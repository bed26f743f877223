"""PNG files with few colours, which are a third as large: screenshots of text need no more.

It reads the PNGs that Chromium writes (8 bits a channel, not interlaced) and needs no library.
Sections are those of the PNG specification, third edition.
"""

import math
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"

CHANNELS = {2: 3, 6: 4}
"""Bytes of a pixel by colour type: red, green and blue, with or without alpha (§11.2.1)."""

MIN_DISTANCE = 4
"""Least distance of two colours of a palette, of 441 from black to white (tried): shades of a
shadow then leave room for a text that is short."""

Pixel = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Picture:
    """An opaque picture.

    Args:
        rows: from top to bottom; three bytes a pixel.
    """

    width: int
    rows: list[bytes]

    def beside(self, other: "Picture") -> "Picture":
        """Return this picture with one of the same height at its right."""
        rows = [left + right for left, right in zip(self.rows, other.rows, strict=True)]
        return Picture(self.width + other.width, rows)


def read_png(content: bytes) -> Picture:
    """Read a screenshot; transparency is dropped."""
    chunks = list(_chunks(content))
    width, _, _, kind = struct.unpack_from(">IIBB", chunks[0][1])
    size = CHANNELS[kind]
    packed = b"".join(body for name, body in chunks if name == b"IDAT")
    rows = list(_unfilter(zlib.decompress(packed), width * size, size))
    if size == 3:
        return Picture(width, rows)
    return Picture(width, [bytes(v for i, v in enumerate(row) if i % 4 < 3) for row in rows])


def write_png(picture: Picture, *, colors: int) -> bytes:
    """Return a PNG with the picture's most frequent colours that differ; others become theirs.

    Args:
        colors: at most 256.
    """
    rows = [_pixels(row) for row in picture.rows]
    counts = Counter(pixel for row in rows for pixel in row)
    palette = _choose(counts, colors)
    places = {pixel: _nearest(palette, pixel) for pixel in counts}
    lines = b"".join(b"\0" + bytes(places[pixel] for pixel in row) for row in rows)
    # 8 bits a pixel, which is an index of the palette.
    header = struct.pack(">IIBBBBB", picture.width, len(rows), 8, 3, 0, 0, 0)
    return SIGNATURE + b"".join(
        (
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", b"".join(map(bytes, palette))),
            _chunk(b"IDAT", zlib.compress(lines, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(content):
        length, name = struct.unpack_from(">I4s", content, at)
        yield name, content[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(name: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(name + body)
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)


def _unfilter(raw: bytes, length: int, size: int) -> Iterator[bytes]:
    """Undo the filter of each row (§9.2); `size` is the bytes of a pixel."""
    above = bytes(length)
    for start in range(0, len(raw), length + 1):
        kind, row = raw[start], bytearray(raw[start + 1 : start + 1 + length])
        for i in range(length) if kind else ():
            left = row[i - size] if i >= size else 0
            up = above[i]
            corner = above[i - size] if i >= size else 0
            guess = (0, left, up, (left + up) // 2, 0)[kind]
            row[i] = (row[i] + (_paeth(left, up, corner) if kind == 4 else guess)) & 255
        above = bytes(row)
        yield above


def _paeth(left: int, up: int, corner: int) -> int:
    """Return the neighbour nearest to the estimate (§9.4)."""
    estimate = left + up - corner
    return min((left, up, corner), key=lambda value: abs(estimate - value))


def _pixels(row: bytes) -> list[Pixel]:
    return list(zip(row[::3], row[1::3], row[2::3], strict=True))


def _choose(counts: Counter[Pixel], colors: int) -> list[Pixel]:
    chosen: list[Pixel] = []
    for pixel, _ in counts.most_common():
        if all(math.dist(pixel, other) >= MIN_DISTANCE for other in chosen):
            chosen.append(pixel)
    return chosen[:colors]


def _nearest(palette: list[Pixel], wanted: Pixel) -> int:
    return min(range(len(palette)), key=lambda place: math.dist(palette[place], wanted))
