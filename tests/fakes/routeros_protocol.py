"""RouterOS's API on the wire, after its manual: a sentence is words, each behind its length, up to a word of none.

Bytes in, bytes out, of no library's making: what speaks to this proves that it speaks to the manual.
"""

from asyncio import StreamReader
from collections.abc import Iterable, Sequence

MOST_WORD_BYTES = 4 * 1024 * 1024

# Length < limit is written in that many bytes, under these leading bits.
_FORMS = ((0x80, 1, 0x00), (0x4000, 2, 0x80), (0x20_0000, 3, 0xC0), (0x1000_0000, 4, 0xE0), (1 << 32, 5, 0xF0))


def encode_word(word: bytes) -> bytes:
    for limit, octets, bits in _FORMS:
        if len(word) < limit:
            length = bytearray(len(word).to_bytes(octets, "big"))
            length[0] |= bits
            return bytes(length) + word
    raise ValueError("a word that long cannot be sent")


def encode_sentence(words: Sequence[str]) -> bytes:
    # What is no UTF-8 in a router's memory is sent as it is.
    return b"".join(encode_word(word.encode("utf-8", "surrogateescape")) for word in words) + b"\0"


async def read_sentence(reader: StreamReader) -> list[str]:
    """Raises asyncio.IncompleteReadError at the end of the connection, ValueError for what no client may send."""
    words = []
    while word := await _read_word(reader):
        words.append(word.decode("utf-8", "surrogateescape"))
    return words


async def _read_word(reader: StreamReader) -> bytes:
    first = (await reader.readexactly(1))[0]
    octets, bits = next((octets, bits) for _, octets, bits in reversed(_FORMS) if first >= bits)
    if first > 0xF0:
        raise ValueError("a reserved control byte")
    rest = await reader.readexactly(octets - 1)
    length = int.from_bytes(bytes((first & ~bits,)) + rest, "big")
    if length > MOST_WORD_BYTES:
        raise ValueError("a word of more than 4 MiB")
    return await reader.readexactly(length)


def attributes(words: Iterable[str]) -> dict[str, str]:
    """Of `=name=value` words."""
    return {name: value for _, name, value in (word.split("=", 2) for word in words if word.startswith("="))}
