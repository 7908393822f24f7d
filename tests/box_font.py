"""A font in which every character is the same box: with it a page looks alike whatever fonts a machine has."""
from __future__ import annotations

import struct
from typing import Iterable

EM, ADVANCE, ASCENT, DESCENT = 1000, 560, 800, 200
BOX = (40, 0, 520, 640)
"""left, bottom, right, top"""
EMPTY = " \n\t\u00a0\u202f"


def outline() -> bytes:
    """The box as a TrueType glyph: one contour of four corners on the curve, clockwise."""
    left, bottom, right, top = BOX
    corners = ((left, bottom), (left, top), (right, top), (right, bottom))
    before = ((0, 0), *corners[:-1])
    steps = [[one[axis] - other[axis] for one, other in zip(corners, before)] for axis in (0, 1)]
    return struct.pack(">5hHH4B8h", 1, *BOX, 3, 0, 1, 1, 1, 1, *steps[0], *steps[1])


def characters(text: Iterable[str]) -> bytes:
    """The table cmap: glyph 1 for each character of the text, glyph 2, which draws nothing, for those of EMPTY."""
    codes = sorted({ord(character) for character in text} | set(map(ord, EMPTY)))
    groups = b"".join(struct.pack(">3I", code, code, 2 if chr(code) in EMPTY else 1) for code in codes)
    return struct.pack(">HHHHI", 0, 1, 3, 10, 12) + struct.pack(">HHIII", 12, 0, 16 + len(groups), 0, len(codes)) + groups


def names(family: str) -> bytes:
    """The table name: family, style, whole name, PostScript name."""
    texts = [text.encode("utf-16-be") for text in (family, "Regular", family, family)]
    entries, at = b"", 0
    for number, text in zip((1, 2, 4, 6), texts):
        entries += struct.pack(">6H", 3, 1, 0x409, number, len(text), at)
        at += len(text)
    return struct.pack(">3H", 0, len(texts), 6 + len(entries)) + entries + b"".join(texts)


def checksum(table: bytes) -> int:
    padded = table + bytes(-len(table) % 4)
    return sum(struct.unpack(f">{len(padded) // 4}I", padded)) & 0xFFFFFFFF


def build(text: Iterable[str], family: str = "Box") -> bytes:
    """A TrueType font that has the characters of the text."""
    glyph = outline()
    codes = sorted(map(ord, text))
    tables = {
        b"OS/2": struct.pack(">Hh3H11h10B4I4s3H5h2I2h3H", 4, ADVANCE, 400, 5, 0, 650, 600, 0, 75, 650, 600, 0, 350, 50, 300, 0,
                             *bytes(10), 0, 0, 0, 0, b"none", 64, min(codes[0], 0xFFFF), min(codes[-1], 0xFFFF),
                             ASCENT, -DESCENT, 0, ASCENT, DESCENT, 0, 0, 500, BOX[3], 0, 32, 1),
        b"cmap": characters(text),
        b"glyf": glyph,
        b"head": struct.pack(">4I2H2q4h2H3h", 0x10000, 0x10000, 0, 0x5F0F3CF5, 3, EM, 0, 0, *BOX, 0, 8, 2, 1, 0),
        b"hhea": struct.pack(">I3hH11hH", 0x10000, ASCENT, -DESCENT, 0, ADVANCE, BOX[0], ADVANCE - BOX[2], BOX[2], 1, *[0] * 7, 3),
        b"hmtx": struct.pack(">Hh", ADVANCE, BOX[0]) * 3,
        b"loca": struct.pack(">4I", 0, 0, len(glyph), len(glyph)),
        b"maxp": struct.pack(">I14H", 0x10000, 3, 4, 1, 0, 0, 1, *[0] * 8),
        b"name": names(family),
        b"post": struct.pack(">Iihh5I", 0x30000, 0, -100, 50, *[0] * 5),
    }
    at, directory, body = 12 + 16 * len(tables), b"", b""
    for tag, table in sorted(tables.items()):
        directory += struct.pack(">4s3I", tag, checksum(table), at + len(body), len(table))
        body += table + bytes(-len(table) % 4)
    power = 1 << (len(tables).bit_length() - 1)
    return struct.pack(">I4H", 0x10000, len(tables), 16 * power, power.bit_length() - 1, 16 * (len(tables) - power)) + directory + body
