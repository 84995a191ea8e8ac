"""Seeded damage to the content of files: flipped bits, missing parts, and bytes that mislead readers."""

import random
from collections.abc import Callable

SPLICES = [
    b'"', b"'", b",,,,", b";", b"\t", b"\r", b"\n\n", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xf0\x9f\x98\x80",
    b"-1", b"9" * 400, b"1e999", b"NaN", b"null", b"true", b"{", b"[", b"&a *a", b"!!python/object:os.system",
    b"<html>", b"a" * 200_000,
]  # fmt: skip
"""Bytes that readers of text and of binary formats tend to mistake."""


def damage(content: bytes, chance: random.Random) -> bytes:
    """Return a file's content with one to four kinds of damage, drawn from `chance`."""
    kinds: list[Callable[[bytes, random.Random], bytes]] = [
        _flip_bits, _flip_bits, _truncate, _splice, _splice, _drop, _repeat, _replace, _recode, _empty
    ]  # fmt: skip
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        content = chance.choice(kinds)(content, chance)
    return content


def _flip_bits(content: bytes, chance: random.Random) -> bytes:
    """Flip one to sixteen bits."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 16)) if changed else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _truncate(content: bytes, chance: random.Random) -> bytes:
    """Cut the end off."""
    return content[: chance.randint(0, len(content))]


def _splice(content: bytes, chance: random.Random) -> bytes:
    """Insert bytes that readers tend to mistake."""
    place = chance.randint(0, len(content))
    return content[:place] + chance.choice(SPLICES) + content[place:]


def _drop(content: bytes, chance: random.Random) -> bytes:
    """Leave out a part."""
    start = chance.randint(0, len(content))
    return content[:start] + content[start + chance.randint(1, 64) :]


def _repeat(content: bytes, chance: random.Random) -> bytes:
    """Repeat a part."""
    start = chance.randint(0, len(content))
    return content[:start] + content[start : start + chance.randint(1, 2000)] * 2 + content[start:]


def _replace(content: bytes, chance: random.Random) -> bytes:
    """Replace a word or a number by bytes that readers tend to mistake."""
    start = chance.randint(0, len(content))
    return content[:start] + chance.choice(SPLICES) + content[start + chance.randint(1, 8) :]


def _recode(content: bytes, chance: random.Random) -> bytes:
    """Encode the content as PowerShell or an old Mac would."""
    text = content.decode("latin-1")
    return chance.choice((text.encode("utf-16"), content.replace(b"\n", b"\r"), content.replace(b",", b";")))


def _empty(content: bytes, chance: random.Random) -> bytes:
    """Return nothing, white space or zeros."""
    return chance.choice((b"", b"\n", b" ", bytes(len(content))))
