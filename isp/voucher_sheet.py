"""A batch of vouchers as a PDF for printing: slips to be cut out, each with its code to read and its code to scan.

Text is set in DejaVu Sans where the system has it, else in Vera, which comes with the PDF library and knows the letters
of Western Europe. A character that the font lacks is printed as "?".
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import segno
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

COLUMNS, ROWS = 3, 7
PER_PAGE = COLUMNS * ROWS
CODE = "{code}"

_MARGIN = 8 * mm
_WIDTH = (A4[0] - 2 * _MARGIN) / COLUMNS
_HEIGHT = (A4[1] - 2 * _MARGIN) / ROWS
_PADDING = 2.5 * mm
_QR = 24 * mm
# Modules of white around it that a scanner needs.
_QUIET = 4

_CODE_FONT = "Courier-Bold"
_DEJAVU = Path("/usr/share/fonts/truetype/dejavu")
_FONTS = {"Sheet": ("DejaVuSans.ttf", "Vera.ttf"), "Sheet-Bold": ("DejaVuSans-Bold.ttf", "VeraBd.ttf")}


@dataclass(frozen=True, slots=True)
class Slip:
    """One voucher: its code as it is typed, and as it is read (`7KQ2-XM4P-9D`)."""

    code: str
    printed: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """What all slips of a batch have in common."""

    title: str
    """Whose hotspot it is."""
    plan: str
    price: str
    validity: str
    use_before: str | None
    how_to: str
    """A sentence or two: what to do with the code."""
    login_url: str | None
    """Where the QR code leads, {code} standing for the code; None: it holds the code alone."""


def page_count(slips: int) -> int:
    return -(-slips // PER_PAGE)


def render(sheet: Sheet, slips: Sequence[Slip], made_at: datetime) -> bytes:
    """The PDF: A4, PER_PAGE slips a page, lines to cut along. Raises ValueError without slips."""
    if not slips:
        raise ValueError("there is nothing to print")
    _register_fonts()
    target = io.BytesIO()
    # invariant: no date of its own, so that the same sheet is the same file.
    canvas = Canvas(target, pagesize=A4, pageCompression=1, invariant=1)
    canvas.setTitle(f"{sheet.title}: {sheet.plan}")
    canvas.setCreator("Kibali")
    pages = page_count(len(slips))
    for number in range(1, pages + 1):
        page = slips[(number - 1) * PER_PAGE : number * PER_PAGE]
        for place, slip in enumerate(page):
            row, column = divmod(place, COLUMNS)
            left, top = _MARGIN + column * _WIDTH, A4[1] - _MARGIN - row * _HEIGHT
            _draw(canvas, sheet, slip, left, top)
        _draw_cuts(canvas, len(page))
        foot = f"{number}/{pages} · {made_at:%Y-%m-%d} · {sheet.title} · {sheet.plan}"
        _text(canvas, "Sheet", 6, _MARGIN, 3 * mm, foot, A4[0] - 2 * _MARGIN)
        canvas.showPage()
    canvas.save()
    return target.getvalue()


def login_url(template: str | None, code: str) -> str:
    """What a slip's QR code says."""
    return code if template is None else template.replace(CODE, quote(code, safe=""))


def _draw(canvas: Canvas, sheet: Sheet, slip: Slip, left: float, top: float) -> None:
    left, top = left + _PADDING, top - _PADDING
    width = _WIDTH - 2 * _PADDING
    _text(canvas, "Sheet-Bold", 8.5, left, top - 8, sheet.title, width)
    _draw_qr(canvas, login_url(sheet.login_url, slip.code), left, top - 10 - _QR)
    beside, room, line = left + _QR + 1.5 * mm, width - _QR - 1.5 * mm, top - 12
    for font, size, text in (
        ("Sheet", 7.5, sheet.plan),
        ("Sheet-Bold", 10, sheet.price),
        ("Sheet", 7.5, sheet.validity),
        ("Sheet", 6, sheet.use_before or ""),
    ):
        for each in _wrapped(text, font, size, room, most=2):
            line -= size + 3
            _text(canvas, font, size, beside, line, each, room)
    size = min(13.0, width / (0.6 * len(slip.printed)))  # Courier is 0.6 em wide
    canvas.setFont(_CODE_FONT, size)
    canvas.drawCentredString(left + width / 2, top - 10 - _QR - 11, slip.printed)
    for number, each in enumerate(_wrapped(sheet.how_to, "Sheet", 5.5, width, most=2)):
        _text(canvas, "Sheet", 5.5, left, top - 10 - _QR - 19 - 6.5 * number, each, width)


def _draw_qr(canvas: Canvas, text: str, left: float, bottom: float) -> None:
    # With the mask given: choosing the best of eight takes six times as long, and scanners need none.
    code = segno.make_qr(text, error="m", boost_error=False, mask=2)
    rows = list(code.matrix_iter(border=_QUIET))
    # A module is a pixel, which is printed as the square it is: as paths the codes of a batch take minutes.
    image = Image.new("1", (len(rows), len(rows)))
    image.putdata([0 if module else 1 for row in rows for module in row])
    canvas.drawInlineImage(image, left, bottom, _QR, _QR)


def _draw_cuts(canvas: Canvas, slips: int) -> None:
    """Dashed lines around the slips that there are."""
    rows, columns = -(-slips // COLUMNS), min(slips, COLUMNS)
    canvas.setLineWidth(0.3)
    canvas.setDash(2, 2)
    right, bottom = _MARGIN + columns * _WIDTH, A4[1] - _MARGIN - rows * _HEIGHT
    for column in range(columns + 1):
        canvas.line(_MARGIN + column * _WIDTH, A4[1] - _MARGIN, _MARGIN + column * _WIDTH, bottom)
    for row in range(rows + 1):
        canvas.line(_MARGIN, A4[1] - _MARGIN - row * _HEIGHT, right, A4[1] - _MARGIN - row * _HEIGHT)
    canvas.setDash()


def _text(canvas: Canvas, font: str, size: float, x: float, y: float, text: str, room: float | None = None) -> None:
    """A line, shortened to fit."""
    shown = _printable(text, font)
    if room is not None and pdfmetrics.stringWidth(shown, font, size) > room:
        while shown and pdfmetrics.stringWidth(shown + "…", font, size) > room:
            shown = shown[:-1]
        shown = shown.rstrip() + "…"
    canvas.setFont(font, size)
    canvas.drawString(x, y, shown)


def _wrapped(text: str, font: str, size: float, room: float, *, most: int) -> list[str]:
    """At most so many lines, broken between words; what is too much stays in the last."""
    lines: list[str] = []
    for word in _printable(text, font).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and (len(lines) == most or pdfmetrics.stringWidth(longer, font, size) <= room):
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _printable(text: str, font: str) -> str:
    known = _glyphs(font)
    return "".join(character if ord(character) in known else "?" for character in " ".join(text.split()))


@cache
def _register_fonts() -> None:
    for name, (dejavu, vera) in _FONTS.items():
        file = _DEJAVU / dejavu
        pdfmetrics.registerFont(TTFont(name, str(file) if file.exists() else vera))


@cache
def _glyphs(font: str) -> frozenset[int]:
    found: Any = pdfmetrics.getFont(font)
    return frozenset(found.face.charToGlyph)
