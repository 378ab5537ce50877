"""A router as it leaves its box: a hAP with MikroTik's default configuration, or a CHR with next to none."""

from dataclasses import dataclass

from tests.fakes.routeros_tables import Tables
from tests.fakes.routeros_values import POLICIES, Version

DEFCONF = "defconf"

# Those that can be told apart by what they know; each stands for its time.
VERSIONS: dict[str, Version] = {
    "6.42": (6, 42, 12),
    "6.49": (6, 49, 18),
    "7.12": (7, 12, 2),
    "7.16": (7, 16, 2),
    "7.21": (7, 21, 4),
}
_PACKAGES_6 = ("routeros-arm", "system", "security", "ppp", "dhcp", "hotspot", "advanced-tools", "routing", "wireless")
_SERVICES = {
    "telnet": 23,
    "ftp": 21,
    "www": 80,
    "ssh": 22,
    "www-ssl": 443,
    "api": 8728,
    "winbox": 8291,
    "api-ssl": 8729,
}
_GROUPS = {
    "read": ("local", "telnet", "ssh", "reboot", "read", "test", "winbox", "password", "web", "sniff", "api", "romon"),
    "write": tuple(one for one in POLICIES if one not in ("ftp", "policy")),
    "full": POLICIES,
}
# From 7.17 a router for homes comes in the mode home, which forbids what an ISP wants.
_MODES = {
    "home": {"hotspot": "false", "proxy": "false", "fetch": "false", "scheduler": "false", "container": "false"},
    "advanced": {"container": "false"},
    "enterprise": {"container": "false"},
}


@dataclass(frozen=True, slots=True)
class Model:
    board: str
    model: str | None
    architecture: str
    ports: int
    memory_mib: int
    disk_mib: int
    licence: str


HAP = Model("hAP ac^2", "RBD52G-5HacD2HnD", "arm", 5, 128, 16, "4")
CHR = Model("CHR", None, "x86_64", 3, 256, 128, "free")


def unpacked(version: Version, model: Model, number: int, *, configured: bool, device_mode: str | None) -> Tables:
    """`number` makes its serial number and MAC addresses. `configured`: with MikroTik's default configuration."""
    tables = Tables(version)
    tables.put("/system/identity")
    tables.put("/system/resource")
    written = ".".join(map(str, version))
    for name in _PACKAGES_6 if version < (7,) else ("routeros",):
        tables.put("/system/package", name=name, version=written)
    _nameplate(tables, model, number, written)
    if version >= (7,):
        mode = device_mode or ("advanced" if version >= (7, 17) else "enterprise")
        tables.put("/system/device-mode", mode=mode, **_MODES.get(mode, {}))
    for name, port in _SERVICES.items():
        tls = {"certificate": "none"} if name.endswith("-ssl") else {}
        tables.put("/ip/service", name=name, port=str(port), disabled=str(name == "www-ssl").lower(), **tls)
    for name, given in _GROUPS.items():
        policy = ",".join(one if one in given else f"!{one}" for one in POLICIES)
        tables.put("/user/group", name=name, policy=policy)
    tables.put("/user", name="admin", group="full", password="")
    for name in ("all", "none", "dynamic", "static"):
        tables.put("/interface/list", name=name, builtin="true")
    for port in range(1, model.ports + 1):
        tables.put(
            "/interface/ethernet",
            name=f"ether{port}",
            default_name=f"ether{port}",
            mac_address=f"48:A9:8A:{number >> 8 & 255:02X}:{number & 255:02X}:{port:02X}",
            rx_byte="0",
            tx_byte="0",
        )
    tables.put("/ip/dns")
    tables.put("/ip/hotspot/profile", name="default", default="true")
    tables.put("/ip/hotspot/user/profile", name="default", default="true")
    tables.put("/ppp/profile", name="default", default="true", change_tcp_mss="yes")
    tables.put("/ppp/profile", name="default-encryption", default="true", change_tcp_mss="yes", use_encryption="yes")
    tables.put("/ppp/aaa")
    tables.put("/radius/incoming")
    if configured:
        _default_configuration(tables)
    return tables


def _nameplate(tables: Tables, model: Model, number: int, version: str) -> None:
    if model.model is None:
        if tables.version < (7,):
            tables.put("/system/routerboard", routerboard="false")
        tables.put("/system/license", system_id=f"sys{number:08x}", level=model.licence)
        return
    tables.put(
        "/system/routerboard",
        routerboard="true",
        board_name=model.board,
        model=model.model,
        serial_number=f"HAP{number:09X}",
        firmware_type="ipq4000L",
        factory_firmware="6.47.9",
        current_firmware=version,
        upgrade_firmware=version,
    )
    tables.put("/system/license", software_id=f"KBLI-{number:04X}", nlevel=model.licence, features="")


def _default_configuration(tables: Tables) -> None:
    tables.put("/interface/bridge", name="bridge", comment=DEFCONF)
    for port in tables.items("/interface/ethernet")[1:]:
        tables.put("/interface/bridge/port", interface=port["name"], bridge="bridge", comment=DEFCONF)
    for name, interface in (("WAN", "ether1"), ("LAN", "bridge")):
        tables.put("/interface/list", name=name, comment=DEFCONF)
        tables.put("/interface/list/member", list=name, interface=interface, comment=DEFCONF)
    tables.put("/ip/address", address="192.168.88.1/24", network="192.168.88.0", interface="bridge", comment=DEFCONF)
    tables.put("/ip/pool", name="default-dhcp", ranges="192.168.88.10-192.168.88.254")
    tables.put("/ip/dhcp-server", name="defconf", interface="bridge", address_pool="default-dhcp")
    tables.put(
        "/ip/dhcp-server/network",
        address="192.168.88.0/24",
        gateway="192.168.88.1",
        dns_server="192.168.88.1",
        comment=DEFCONF,
    )
    tables.one("/ip/dns")["allow-remote-requests"] = "true"
    tables.put("/ip/firewall/filter", chain="forward", action="passthrough", dynamic="true")
    for connection_state, action in (("established,related,untracked", "accept"), ("invalid", "drop")):
        tables.put(
            "/ip/firewall/filter",
            chain="input",
            action=action,
            connection_state=connection_state,
            comment=DEFCONF,
        )
    tables.put("/ip/firewall/filter", chain="input", action="drop", in_interface_list="!LAN", comment=DEFCONF)
    tables.put("/ip/firewall/nat", chain="srcnat", action="masquerade", out_interface_list="WAN", comment=DEFCONF)
