"""The print sheet of vouchers, looked at as a printer and a phone's camera do: rendered, then read and scanned."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pypdfium2
import pytest
import zxingcpp
from reportlab.lib.units import mm

from isp import voucher_words as words
from isp.voucher import MOST_LENGTH, new_codes, printed
from isp.voucher_sheet import PER_PAGE, Sheet, Slip, login_url, page_count, render

NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)
SHEET = Sheet(
    title="Acme Networks",
    plan="Hotspot day",
    price="KES 50",
    validity="1 day",
    use_before="Use before 2026-12-31 23:59",
    how_to=words.how_to("en", with_link=True),
    login_url="https://wifi.example.net/login?voucher={code}",
)
A4_POINTS = (595, 842)


def slips(count: int, length: int = 10) -> list[Slip]:
    return [Slip(code, printed(code)) for code in new_codes(count, length)]


def pages(content: bytes) -> Sequence[pypdfium2.PdfPage]:
    assert content.startswith(b"%PDF-")
    document = pypdfium2.PdfDocument(content)
    return [document[at] for at in range(len(document))]


def text_of(page: pypdfium2.PdfPage) -> str:
    return " ".join(page.get_textpage().get_text_range().split())


def scanned(page: pypdfium2.PdfPage) -> set[str]:
    """What a camera reads off the page at 200 dots per inch."""
    return {code.text for code in zxingcpp.read_barcodes(page.render(scale=200 / 72).to_pil())}


def test_each_slip_has_its_code_to_read_and_to_scan() -> None:
    made = slips(PER_PAGE + 4)
    first, second = pages(render(SHEET, made, NOW))
    for page, expected in ((first, made[:PER_PAGE]), (second, made[PER_PAGE:])):
        assert tuple(map(round, page.get_size())) == A4_POINTS
        assert scanned(page) == {f"https://wifi.example.net/login?voucher={slip.code}" for slip in expected}
        text = text_of(page)
        for slip in expected:
            assert slip.printed in text
        for words_of_all in ("Acme Networks", "Hotspot day", "KES 50", "1 day", "Use before 2026-12-31 23:59"):
            assert text.count(words_of_all) >= len(expected)
    assert "1/2 · 2026-11-27 · Acme Networks · Hotspot day" in text_of(first)


def test_without_a_page_to_lead_to_a_code_is_scanned_as_it_is() -> None:
    made = slips(3, MOST_LENGTH)
    (page,) = pages(render(replace(SHEET, login_url=None), made, NOW))
    assert scanned(page) == {slip.code for slip in made}
    for slip in made:
        assert slip.printed in text_of(page)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Café Müller & Söhne", "Café Müller & Söhne"),
        ("Wi-Fi ya Mtaa <b>\\n(1)", "Wi-Fi ya Mtaa <b>\\n(1)"),
        ("line\nbreak\tand\u0000nul", "line break and"),
        ("Ελλάδα", None),
        ("شبكة الإنترنت", None),
        ("የኢትዮጵያ ኢንተርኔት", None),
        ("互联网服务", None),
        ("🛜📶", None),
        ("\u202eevil\u202c", None),
        ("x" * 500, "xxx"),
        ("", ""),
    ],
)
def test_no_name_stops_the_printer(name: str, shown: str | None) -> None:
    sheet = replace(SHEET, title=name, plan=name, how_to=name)
    (page,) = pages(render(sheet, slips(2), NOW))
    assert len(scanned(page)) == 2
    if shown is not None:
        assert shown in text_of(page)


def test_what_is_too_long_is_cut_within_its_slip() -> None:
    sheet = replace(SHEET, title="W" * 200, plan="W" * 200, how_to="W " * 400)
    (page,) = pages(render(sheet, slips(1), NOW))
    textpage = page.get_textpage()
    boxes = [textpage.get_rect(at) for at in range(textpage.count_rects())]
    width = page.get_size()[0]
    assert max(right for _, bottom, right, _ in boxes if bottom > 8 * mm) < width / 3 + 8 * mm
    assert max(right for _, _, right, _ in boxes) < width
    assert "…" in text_of(page)


def test_a_sheet_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to print"):
        render(SHEET, [], NOW)


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (PER_PAGE, 1), (PER_PAGE + 1, 2)])
def test_pages_are_counted(count: int, expected: int) -> None:
    assert page_count(count) == expected


def test_a_code_is_put_into_a_url_so_that_it_stays_one() -> None:
    assert login_url("https://x.example/?c={code}&d=1", "A&B /#") == "https://x.example/?c=A%26B%20%2F%23&d=1"


@pytest.mark.parametrize(
    ("unit", "count", "english", "swahili"),
    [
        ("hours", 1, "1 hour", "saa 1"),
        ("hours", 12, "12 hours", "saa 12"),
        ("days", 30, "30 days", "siku 30"),
        ("months", 1, "1 month", "mwezi 1"),
        ("months", 3, "3 months", "miezi 3"),
        ("unlimited", None, "no time limit", "bila kikomo cha muda"),
    ],
)
def test_validities_are_said_in_both_languages(unit: str, count: int | None, english: str, swahili: str) -> None:
    assert words.validity(unit, count, "en") == english
    assert words.validity(unit, count, "sw") == swahili


@pytest.mark.parametrize(
    ("kes", "said"), [("50", "KES 50"), ("50.00", "KES 50"), ("49.5", "KES 49.50"), ("1234567", "KES 1,234,567")]
)
def test_prices_are_said_without_needless_cents(kes: str, said: str) -> None:
    assert words.price(Decimal(kes)) == said
