"""Whether a picture may be decoded, from its first and last bytes: a decoder believes a header, and takes the memory.

Every picture that comes from outside passes ``check`` before OpenCV or a model sees it.
"""

from __future__ import annotations

import struct

from vision_stream.errors import VisionStreamError

MAX_SIDE = 20_000  # pixels, as a message's frame may have
MAX_PIXELS = 40_000_000  # above an 8K frame's 33 million; decoded, 120 MB
TAIL = 4096  # bytes in which a picture's end is looked for: some writers put a little behind it
MAX_SEGMENTS = 2000  # of a JPEG before its size: a colour profile and an Exif block can take some hundreds
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG's markers that hold the size
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # and those without a length


class BadPicture(VisionStreamError):
    """Not to be decoded; says why."""


def check(picture: bytes) -> None:
    """Look at a picture without decoding it.

    Raises:
        BadPicture: it is empty, of no known format, cut off, or larger than ``MAX_SIDE`` or ``MAX_PIXELS``.
    """
    check_size(*size_of(picture))
    if not _ends(picture):
        raise BadPicture("a picture that is cut off")


def check_size(width: int, height: int) -> None:
    """Raises BadPicture: more pixels than ``MAX_PIXELS`` or a longer side than ``MAX_SIDE``, or none."""
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= MAX_PIXELS):
        raise BadPicture(f"a picture of {width} x {height} pixels")


def size_of(picture: bytes) -> tuple[int, int]:
    """Width and height, as the header says.

    Raises:
        BadPicture: no JPEG, PNG, BMP, WebP or TIFF, or one whose header is cut off.
    """
    for magic, read in _READERS.items():
        if picture.startswith(magic):
            try:
                return read(picture)
            except (struct.error, IndexError, KeyError) as error:
                raise BadPicture("a picture whose header is cut off or broken") from error
    raise BadPicture("no picture" if not picture else "no picture of a known format")


def _ends(picture: bytes) -> bool:
    if picture.startswith(b"\xff\xd8"):
        return picture.endswith(b"\xff\xd9") or b"\xff\xd9" in picture[-TAIL:]
    return b"IEND" in picture[-TAIL:] if picture.startswith(b"\x89PNG") else True


def _jpeg(picture: bytes) -> tuple[int, int]:
    at = 2
    for _ in range(MAX_SEGMENTS):
        if picture[at] != 0xFF:
            break
        marker, at = picture[at + 1], at + 2
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", picture, at + 3)
            return width, height
        if marker == 0xFF:  # fill: the next one is the marker
            at -= 1
        elif marker not in _ALONE:
            (length,) = struct.unpack_from(">H", picture, at)
            at += max(length, 2)
    raise IndexError


def _png(picture: bytes) -> tuple[int, int]:
    if picture[12:16] != b"IHDR":
        raise IndexError
    return struct.unpack_from(">II", picture, 16)


def _bmp(picture: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<ii", picture, 18)
    return width, abs(height)


def _webp(picture: bytes) -> tuple[int, int]:
    if picture[12:16] == b"VP8X":
        sides = _part(picture, 24, 30)
        return 1 + int.from_bytes(sides[:3], "little"), 1 + int.from_bytes(sides[3:], "little")
    if picture[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", picture, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", picture, 26)
    return width & 0x3FFF, height & 0x3FFF


def _tiff(picture: bytes) -> tuple[int, int]:
    order = "<" if picture[:2] == b"II" else ">"
    (at,) = struct.unpack_from(f"{order}I", picture, 4)
    (entries,) = struct.unpack_from(f"{order}H", picture, at)
    sides: dict[int, int] = {}
    for n in range(min(entries, 100)):
        tag, kind = struct.unpack_from(f"{order}HH", picture, at + 2 + 12 * n)
        if tag in (256, 257):
            (sides[tag],) = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", picture, at + 10 + 12 * n)
    return sides[256], sides[257]


def _part(picture: bytes, start: int, end: int) -> bytes:
    if len(picture) < end:
        raise IndexError
    return picture[start:end]


_READERS = {
    b"\xff\xd8\xff": _jpeg,
    b"\x89PNG\r\n\x1a\n": _png,
    b"BM": _bmp,
    b"RIFF": _webp,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
}
