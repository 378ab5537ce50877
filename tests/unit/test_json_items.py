"""Lists as JSON, item by item: the same items as json.loads finds, and never much more memory than the text has."""

import json
import subprocess
import sys
from typing import Any

import pytest

from isp.json_items import MOST_CHARACTERS, items_of

ITEMS: list[Any] = [{}, {"a": 1, "b": [], "c": None}, {'ü\n"': "😀 ]},{", "x": -1.5e3}, {"a": {"b": [{"c": "}"}]}}]


@pytest.mark.parametrize("items", [[], ITEMS[:1], ITEMS, ITEMS * 3_000], ids=["none", "one", "some", "many"])
@pytest.mark.parametrize("indent", [None, 2])
def test_the_items_are_those_of_the_library(items: list[Any], indent: int | None) -> None:
    for value in (items, {"items": items}, {"n": "items", "before": [1], "items": items, "after": {"items": []}}):
        for text in (json.dumps(value, indent=indent), json.dumps(value, indent=indent, ensure_ascii=False)):
            assert list(items_of(f"\n {text} ")) == items


def test_an_item_may_be_as_long_as_it_says() -> None:
    around = len('{"a": ""}')
    just = {"a": "x" * (MOST_CHARACTERS - around)}
    assert list(items_of(json.dumps([just, just]))) == [just, just]
    with pytest.raises(ValueError, match="longer than 131072 characters"):
        list(items_of(json.dumps([{"a": just["a"] + "x"}])))


@pytest.mark.parametrize(
    ("text", "said", "column"),
    [
        ("", "list of objects", 1),
        ("null", "list of objects", 1),
        ("\ufeff[]", "list of objects", 1),
        ("[", "list of objects", 2),
        ("[1]", "list of objects", 2),
        ("[{}", "comma or a bracket", 4),
        ("[{},]", "list of objects", 5),
        ("[{}] x", "more behind its end", 6),
        ("{", "list of objects", 2),
        ('{"name": "A"}', "list of objects", 14),
        ('{"items": 1}', "list of objects", 11),
        ('{"items" []}', "colon", 10),
        ('{"items": [{}]', "comma or a brace", 15),
        ('{"items": [], }', "list of objects", 15),
        ('{"items": [], "items": []}', "items twice", 23),
        ("{" + '"a":1,' * 200, "more than 100 fields", 602),
        ('[{"a": 1 "b": 2}]', "not JSON: Expecting ',' delimiter", 10),
        ('[{"a": ' + "9" * 5000 + "}]", "digits", 2),
        ('[{"a": ' + "[" * 100_000, "lists in lists", 2),
        ("[" * 100_000, "list of objects", 2),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, said: str, column: int) -> None:
    with pytest.raises(ValueError, match=rf"{said}.*: line 1 column {column} "):
        list(items_of(text))


_READ = """
import re, sys
from pathlib import Path
from isp.json_items import items_of
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024
text = sys.argv[1] * (9_000_000 // len(sys.argv[1]))
before = peak()
try:
    for _item in items_of(sys.argv[2] + text): pass
except ValueError:
    pass
print(peak() - before)
"""


@pytest.mark.parametrize(
    ("begins", "repeated"),
    [
        ("[", "{},"),
        ("[{}", ",{}"),
        ('[{"a":[', "[],"),
        ('[{"a":', "["),
        ("[{", '"a":1,'),
        ('[{"a":"', "x"),
        ('[{"a":', "9"),
        ("{", '"a":1,'),
        ('{"a":[', "[],"),
        ('{"items":[', '{"a":{}},'),
        ("[", " "),
    ],
)
def test_nine_million_characters_take_little_more_than_their_text(begins: str, repeated: str) -> None:
    read = subprocess.run([sys.executable, "-c", _READ, repeated, begins], capture_output=True, text=True, check=True)
    assert int(read.stdout) < 20, "MiB, of which one copy of the text is 9"


def test_that_measure_sees_what_the_library_takes() -> None:
    code = _READ.replace("items_of(sys.argv[2] + text)", "__import__('json').loads(sys.argv[2] + text + '{}]')")
    read = subprocess.run([sys.executable, "-c", code, "{},", "["], capture_output=True, text=True, check=True)
    assert int(read.stdout) > 120
