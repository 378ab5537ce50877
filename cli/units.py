"""Numbers as people read them."""

_SIZES = ("KiB", "MiB", "GiB", "TiB")


def octets(count: int) -> str:
    """`1.5 GiB`; below 1 KiB `12 B`."""
    size, unit = float(count), "B"
    for larger in _SIZES:
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"


def seconds(count: int) -> str:
    """The two largest units: `2 d 4 h`, `15 min`, `0 s`."""
    parts: list[str] = []
    left = count
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        number, left = divmod(left, length)
        if number or parts:
            parts.append(f"{number} {unit}" if number else "")
        if len(parts) == 2:
            break
    return " ".join(filter(None, parts)) or "0 s"
