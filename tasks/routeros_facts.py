"""What a router is and how it does: conversations that read it, for any version."""

import re
from dataclasses import dataclass
from datetime import timedelta

from isp.router_device_mode import DeviceMode
from isp.router_version import RouterVersion
from tasks.routeros_dialogue import Conversation, Row, sentence
from tasks.routeros_errors import ConnectionLost, MissingMenu, NotPermitted, RouterTooNew, RouterTooOld

# Before 6.40 there is no /interface list, and nobody tests it any more. Of 8 nothing is known.
OLDEST, TOO_NEW = RouterVersion(6, 40), RouterVersion(8, 0, stage=0)


@dataclass(frozen=True, slots=True)
class RouterFacts:
    """What changes only by hand."""

    identity: str
    version: RouterVersion
    architecture: str
    """arm, arm64, mipsbe, tile, x86_64, …"""
    board: str
    """hAP ac², CHR, …"""
    model: str | None
    """As on the label; None where there is no RouterBOARD."""
    serial_number: str | None
    licence_level: str | None
    """4, 5, 6; of a CHR free, p1, p10, p-unlimited."""
    device_mode: DeviceMode | None
    """None before there was one: nothing is forbidden."""
    disabled_packages: frozenset[str]


@dataclass(frozen=True, slots=True)
class RouterLoad:
    uptime: timedelta
    cpu_load_percent: int
    free_memory_bytes: int
    total_memory_bytes: int
    free_hdd_bytes: int
    total_hdd_bytes: int


_RESOURCE = ("version", "architecture-name", "board-name")
_LOAD = ("uptime", "cpu-load", "free-memory", "total-memory", "free-hdd-space", "total-hdd-space")


def read_facts(host: str) -> Conversation[RouterFacts]:
    """Raises RouterTooOld, RouterTooNew, and what a connection raises."""
    identity = yield from _only_row(host, "/system/identity/print", ("name",))
    resource = yield from _only_row(host, "/system/resource/print", _RESOURCE)
    version = supported(host, resource.get("version", ""))
    board = yield from _row_if_any("/system/routerboard/print", ("routerboard", "model", "serial-number"))
    # The level is `nlevel` on a RouterBOARD or x86, `level` on a CHR.
    licence = yield from _row_if_any("/system/license/print", ())
    mode = yield from _row_if_any("/system/device-mode/print", ())
    packages = (yield sentence("/system/package/print", proplist=("name", "disabled"))).rows
    return RouterFacts(
        identity=identity.get("name", ""),
        version=version,
        architecture=resource.get("architecture-name", ""),
        board=resource.get("board-name", ""),
        model=board.get("model"),
        serial_number=board.get("serial-number"),
        licence_level=licence.get("nlevel") or licence.get("level"),
        device_mode=DeviceMode.of(mode) if mode else None,
        disabled_packages=frozenset(row["name"] for row in packages if row.get("disabled") == "true"),
    )


def read_load(host: str) -> Conversation[RouterLoad]:
    row = yield from _only_row(host, "/system/resource/print", _LOAD)
    try:
        return RouterLoad(
            uptime=duration(row["uptime"]),
            cpu_load_percent=int(row["cpu-load"]),
            free_memory_bytes=int(row["free-memory"]),
            total_memory_bytes=int(row["total-memory"]),
            free_hdd_bytes=int(row["free-hdd-space"]),
            total_hdd_bytes=int(row["total-hdd-space"]),
        )
    except (KeyError, ValueError):
        raise _unreadable(host, "/system/resource/print") from None


def supported(host: str, version: str) -> RouterVersion:
    """Raises RouterTooOld or RouterTooNew."""
    try:
        parsed = RouterVersion.parse(version)
    except ValueError:
        raise RouterTooNew(
            f"{host} runs RouterOS {version[:40]!r}, a version we cannot read. Report it to us."
        ) from None
    if parsed < OLDEST:
        raise RouterTooOld(f"{host} runs RouterOS {parsed}, which is too old. Upgrade it to 6.49 or 7.")
    if parsed >= TOO_NEW:
        raise RouterTooNew(f"{host} runs RouterOS {parsed}, which this Kibali does not know yet. Update Kibali.")
    return parsed


_DURATION = re.compile(
    r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+):(\d\d):(\d\d(?:\.\d+)?)|(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?)",
    re.ASCII,
)


def duration(text: str) -> timedelta:
    """`1w2d3h4m5s`, `1d03:04:05`, `500ms`. Raises ValueError."""
    found = _DURATION.fullmatch(text)
    if found is None or not text:
        raise ValueError("not a duration of RouterOS")
    weeks, days, h, m, s, hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
    return timedelta(
        weeks=weeks, days=days, hours=h + hours, minutes=m + minutes, seconds=s + seconds, milliseconds=milliseconds
    )


def _only_row(host: str, command: str, proplist: tuple[str, ...]) -> Conversation[Row]:
    rows = (yield sentence(command, proplist=proplist)).rows
    if len(rows) != 1:
        raise _unreadable(host, command)
    return rows[0]


def _row_if_any(command: str, proplist: tuple[str, ...]) -> Conversation[Row]:
    """Empty where this router has no such menu or does not let us see it."""
    try:
        rows = (yield sentence(command, proplist=proplist)).rows
    except (MissingMenu, NotPermitted):
        return {}
    return rows[0] if rows else {}


def _unreadable(host: str, command: str) -> ConnectionLost:
    return ConnectionLost(f"{host} answered {command} in a way we cannot read. Report its RouterOS version to us.")
