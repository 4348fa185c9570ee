"""Draws sample.png with nothing but the standard library: python draw_sample.py"""

import struct
import zlib
from pathlib import Path

WIDTH, HEIGHT = 480, 320
TRIANGLE = [(70, 40), (130, 140), (20, 140)]
PENTAGON = [(380, 170), (428, 205), (410, 262), (350, 262), (332, 205)]


def inside(x: int, y: int, corners: list[tuple[int, int]]) -> bool:
    """Whether a point lies in a convex polygon given clockwise."""
    sides = zip(corners, corners[1:] + corners[:1], strict=True)
    return all((x2 - x1) * (y - y1) - (y2 - y1) * (x - x1) >= 0 for (x1, y1), (x2, y2) in sides)


def colour(x: int, y: int) -> tuple[int, int, int]:
    """The pixel at x, y."""
    if inside(x, y, TRIANGLE):
        return (220, 60, 50)
    if 170 <= x < 270 and 40 <= y < 140:
        return (40, 110, 220)
    if (x - 370) ** 2 + (y - 90) ** 2 <= 50**2:
        return (40, 160, 80)
    if 40 <= x < 260 and 190 <= y < 270:
        return (240, 160, 30)
    if inside(x, y, PENTAGON):
        return (140, 70, 190)
    return (250, 250, 247)


def png(rows: list[bytes]) -> bytes:
    """An RGB picture as a PNG file."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


if __name__ == "__main__":
    picture = [b"".join(bytes(colour(x, y)) for x in range(WIDTH)) for y in range(HEIGHT)]
    Path(__file__).with_name("sample.png").write_bytes(png(picture))
