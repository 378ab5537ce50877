"""Files of subscribers: whatever wrote them, the same rows; and a row that is wrong says why."""

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isp.subscriber_file import EXPORTED, BadFile, BadRow, checked, csv_lines, rows_of, text_of

GOOD = {"name": "Wanjiku Kamau", "msisdn": "0712345678"}
EXPECTED = [(2, {"name": "Wänjiku", "msisdn": "0712345678"}), (3, {"name": "Otieno", "msisdn": "0722000111"})]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_spreadsheets_write_the_same_rows_in_many_ways(encoding: str, delimiter: str, ending: str) -> None:
    lines = [("Name", "Phone"), ("Wänjiku", "0712345678"), ("Otieno", "0722000111")]
    text = "".join(delimiter.join(cells) + ending for cells in lines)
    assert list(rows_of(text_of(text.encode(encoding)), "csv")) == EXPECTED


def test_a_cell_may_hold_the_delimiter_and_a_new_line_and_rows_are_numbered_where_they_begin() -> None:
    text = 'name,msisdn,note\n"Kamau, W.",0712345678,"two\nlines"\n\n  ,,\nOtieno,0722000111,\n'
    rows = list(rows_of(text, "csv"))
    assert [(line, row["name"], row["note"]) for line, row in rows] == [
        (2, "Kamau, W.", "two\nlines"),
        (6, "Otieno", ""),
    ]


def test_json_is_a_list_or_has_items_and_is_numbered_by_item() -> None:
    for text in ('[{"name": "A", "macs": ["a", "b"], "msisdn": 254712345678}]', '{"items": [{"name": "A"}]}'):
        ((number, row),) = rows_of(text, "json")
        assert (number, row["name"]) == (1, "A")
    assert next(rows_of('[{"name": "A", "macs": ["a", "b"], "state": "active"}]', "json"))[1] == {
        "name": "A",
        "macs": "a b",
    }


@pytest.mark.parametrize(
    ("content", "file_format", "said"),
    [
        (b"name\nJos\xe9\n", "csv", "neither UTF-8 nor UTF-16"),
        (b"name,msisdn\nA\0B,1\n", "csv", "NUL"),
        (b"nome,msisdn\nA,1\n", "csv", "names a column 'nome'"),
        (b"name,name\nA,B\n", "csv", "twice"),
        (b"msisdn\n1\n", "csv", "Only name has to be there"),
        (b"", "csv", "must name the columns"),
        (b'name,msisdn\n"A,1\n', "csv", "Line 2 can not be read as CSV"),
        (b"{", "json", "can not be read: it must be a list of objects"),
        (b'[{"name": "A" "msisdn": 1}]', "json", "it is not JSON: .* delimiter: line 1 column 15"),
        (b"name\n" + b"A\n" * 500_001, "csv", "more than 500,000 rows"),
        (b"name\n" + b"\n" * 500_001 + b"A\n", "csv", "more than 500,000 rows"),
        (b"[" + b"{}," * 500_001 + b"{}]", "json", "more than 500,000 rows"),
    ],
)
def test_a_file_that_can_not_be_read_says_what_to_do(content: bytes, file_format: str, said: str) -> None:
    with pytest.raises(BadFile, match=said):
        list(rows_of(text_of(content), file_format))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\x07b"}, "name"),
        ({"msisdn": "12"}, "msisdn"),
        ({"msisdn": ""}, "msisdn"),
        ({"email": "nobody"}, "email"),
        ({"username": "kamau"}, "plan"),
        ({"macs": "02:00:00:00:00:01"}, "plan"),
        ({"plan": "Home", "service": "dsl"}, "service"),
        ({"plan": "Home", "macs": "02:00:00:00:00:01 nonsense"}, "macs"),
        ({"plan": "Home", "macs": "01:00:00:00:00:01"}, "macs"),
        ({"plan": "Home", "framed_ip_address": "10.0.0"}, "framed_ip_address"),
        ({"plan": "Home", "framed_ip_address": "224.0.0.1"}, "framed_ip_address"),
        ({"plan": "Home", "expires_at": "2026-12-31"}, "expires_at"),
        ({"plan": "Home", "expires_at": "tomorrow"}, "expires_at"),
        ({"plan": "Home", "password": "é" * 65}, "password"),
        ({"plan": "Home", "username": "x" * 65}, "username"),
        ({"": "It has 9 cells, and there are 2 columns."}, ""),
    ],
)
def test_a_row_that_is_wrong_names_the_column(changes: dict[str, str], field: str) -> None:
    with pytest.raises(BadRow) as raised:
        checked({**GOOD, **changes})
    assert raised.value.field == field
    assert raised.value.message


def test_a_row_is_stored_in_one_form() -> None:
    row = checked(
        {
            **GOOD,
            "plan": " Home ",
            "service": "PPPoE",
            "username": " kamau ",
            "password": " spaces count ",
            "macs": "02-00-00-00-00-01; 020000000002,02:00:00:00:00:01",
            "email": "W@Example.NET",
            "expires_at": "2026-12-31T23:59:59+03:00",
        }
    )
    assert (row.msisdn, row.plan, row.service, row.username) == ("254712345678", "Home", "pppoe", "kamau")
    assert (row.password, row.email) == (" spaces count ", "w@example.net")
    assert row.macs == ("02:00:00:00:00:01", "02:00:00:00:00:02")
    assert row.expires_at is not None
    assert row.expires_at.isoformat() == "2026-12-31T23:59:59+03:00"


def exported(**values: Any) -> dict[str, Any]:
    return {**dict.fromkeys(EXPORTED), "macs": [], **values}


@pytest.mark.parametrize("name", ["=1+1", "+254", "-2", "@SUM(A1)", "\tx", "\rx"])
def test_a_spreadsheet_takes_no_cell_for_a_formula_and_an_import_takes_it_as_it_was(name: str) -> None:
    text = csv_lines([exported(name=name)], with_header=True)
    assert next(csv.DictReader(io.StringIO(text, newline="")))["name"] == "'" + name
    assert next(rows_of(text, "csv"))[1]["name"] == name


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_what_is_exported_is_imported_as_it_was(note: str) -> None:
    text = csv_lines([exported(name="Wanjiku", note=note)], with_header=True)
    ((_, row),) = rows_of(text_of(("\ufeff" + text).encode()), "csv")
    assert row["note"] == note
