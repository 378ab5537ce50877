"""What is read of a router each half minute: a conversation of four questions, whatever its version."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.routeros_dialogue import Conversation, sentence
from tasks.routeros_errors import ConnectionLost, MissingMenu, NotPermitted
from tasks.routeros_facts import RouterFacts, RouterLoad, read_load

# Not the dynamic ones: a PPPoE server has one for each customer.
_INTERFACES = (
    *sentence("/interface/print", proplist=("name", "type", "running", "slave", "rx-byte", "tx-byte")),
    "?dynamic=true",
    "?#!",
)
_MOST_INTERFACES = 200


@dataclass(frozen=True, slots=True)
class InterfaceTraffic:
    name: str
    type: str
    running: bool
    slave: bool
    """A port of a bridge or a bond, whose traffic is counted there too."""
    rx_bytes: int
    tx_bytes: int


@dataclass(frozen=True, slots=True)
class Reading:
    load: RouterLoad
    hotspot_sessions: int
    ppp_sessions: int
    interfaces: tuple[InterfaceTraffic, ...]


def read(host: str) -> Conversation[Reading]:
    """Raises what a connection raises."""
    load = yield from read_load(host)
    hotspot = yield from _count("/ip/hotspot/active/print")
    ppp = yield from _count("/ppp/active/print")
    rows = (yield _INTERFACES).rows
    try:
        interfaces = tuple(_traffic(row) for row in rows[:_MOST_INTERFACES])
    except ValueError:
        raise ConnectionLost(
            f"{host} counts octets in a way we cannot read. Report its RouterOS version to us."
        ) from None
    return Reading(load, hotspot, ppp, interfaces)


def columns(facts: RouterFacts) -> dict[str, Any]:
    """What a router told of itself, as columns of its row."""
    mode = facts.device_mode
    return {
        "identity": facts.identity,
        "routeros_version": str(facts.version),
        "architecture": facts.architecture,
        "board": facts.board,
        "model": facts.model,
        "serial_number": facts.serial_number,
        "license_level": facts.licence_level,
        "device_mode": None
        if mode is None
        else {"mode": mode.mode, **{name: "yes" if on else "no" for name, on in mode.said.items()}},
    }


def _traffic(row: Mapping[str, str]) -> InterfaceTraffic:
    return InterfaceTraffic(
        name=row.get("name", ""),
        type=row.get("type", ""),
        running=row.get("running") == "true",
        slave=row.get("slave") == "true",
        rx_bytes=int(row.get("rx-byte") or 0),
        tx_bytes=int(row.get("tx-byte") or 0),
    )


def _count(command: str) -> Conversation[int]:
    """0 where the menu is not there."""
    try:
        answer = yield sentence(command, {"count-only": ""})
    except (MissingMenu, NotPermitted):
        return 0
    return int(answer.ret) if answer.ret and answer.ret.isdigit() else 0
