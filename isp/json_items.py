"""The objects of a JSON list one by one: however long the list is, only one of them is in memory as Python's own.

A list of a million empty objects, or of lists in lists, takes twenty times the memory of its text.
"""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

MOST_CHARACTERS = 131_072
"""Of one item, and of whatever else stands beside the list."""
_MOST_FIELDS = 100
_FIRST_LOOK = 4_096
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def items_of(text: str) -> Iterator[dict[str, Any]]:
    """Those of a list, or of the list `items` in an object. What is wrong further on is said when it is come to.

    Raises ValueError, whose text says what is wrong and where.
    """
    reader = _Reader(text)
    if reader.next() == "[":
        yield from reader.objects()
    else:
        reader.expect("{", _NO_LIST)
        yield from _items_of_object(reader)
    if reader.next():
        reader.fail("there is more behind its end")


_NO_LIST = 'it must be a list of objects, or {"items": […]}'


def _items_of_object(reader: "_Reader") -> Iterator[dict[str, Any]]:
    seen = False
    for count in itertools.count(1):
        if reader.next() != '"':
            reader.fail(_NO_LIST)
        if count > _MOST_FIELDS:
            reader.fail(f"it has more than {_MOST_FIELDS} fields beside items")
        name = reader.value()
        reader.expect(":", "a colon is missing")
        if name != "items":
            reader.value()
        elif seen:
            reader.fail("it has items twice")
        else:
            seen = True
            yield from reader.objects()
        if not reader.passed(","):
            break
    reader.expect("}", "a comma or a brace is missing")
    if not seen:
        reader.fail(_NO_LIST)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def next(self) -> str:
        """The next character that is no space, which stays; empty at the end."""
        space = _SPACE.match(self._text, self._at)
        assert space is not None
        self._at = space.end()
        return self._text[self._at : self._at + 1]

    def passed(self, character: str) -> bool:
        """Whether that is the next one, which then stays no more."""
        if self.next() != character:
            return False
        self._at += 1
        return True

    def expect(self, character: str, otherwise: str) -> None:
        if not self.passed(character):
            self.fail(otherwise)

    def objects(self) -> Iterator[dict[str, Any]]:
        self.expect("[", _NO_LIST)
        if self.passed("]"):
            return
        while True:
            if self.next() != "{":
                self.fail(_NO_LIST)
            yield self.value()
            if self.passed("]"):
                return
            self.expect(",", "a comma or a bracket is missing")

    def value(self) -> Any:
        self.next()
        for characters in (_FIRST_LOOK, MOST_CHARACTERS):
            piece = self._text[self._at : self._at + characters]
            try:
                value, length = _DECODER.raw_decode(piece)
            except json.JSONDecodeError as error:
                wrong, at = f"it is not JSON: {error.msg}", self._at + error.pos
            except RecursionError:
                wrong, at = "it has lists in lists in lists", self._at
            except ValueError as error:  # a number of thousands of digits
                wrong, at = str(error).partition(";")[0], self._at
            else:
                self._at += length
                return value
            if len(piece) < characters:
                break
        else:
            wrong, at = f"this is longer than {MOST_CHARACTERS} characters, or not JSON", self._at
        self._at = at
        self.fail(wrong)

    def fail(self, wrong: str) -> NoReturn:
        raise json.JSONDecodeError(wrong, self._text, self._at)
