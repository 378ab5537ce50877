"""One fake router: its tables, its clock, its certificates, and what its own commands do. Sockets are elsewhere."""

import time
from ipaddress import ip_address, ip_network

from tests.fakes.routeros_certificate import Certificate, self_signed
from tests.fakes.routeros_commands import Menus, Result
from tests.fakes.routeros_factory import HAP, VERSIONS, Model, unpacked
from tests.fakes.routeros_menus import MENUS
from tests.fakes.routeros_tables import Item
from tests.fakes.routeros_values import POLICIES, Trap, time_of

INACTIVE = "inactivated, not allowed by device-mode"
_RUNTIME = ("/ip/hotspot/active", "/ip/hotspot/host", "/ppp/active", "/user/active")
_COUNTERS = ("pending", "requests", "accepts", "rejects", "resends", "timeouts", "bad-replies", "last-request-rtt")
_MIB = 1024 * 1024


class Machine:
    def __init__(
        self,
        version: str = "7.16",
        *,
        model: Model = HAP,
        number: int = 1,
        configured: bool = True,
        device_mode: str | None = None,
    ) -> None:
        """`version`: one of VERSIONS, or in full. `configured`: with MikroTik's default configuration."""
        self.version = VERSIONS.get(version) or tuple(map(int, version.split(".")))
        self.model = model
        self.tables = unpacked(self.version, model, number, configured=configured, device_mode=device_mode)
        self.menus = Menus(self.tables, self._read, self._own)
        self.cpu_load_percent = 3
        self.booted_at = time.monotonic()
        self.certificates: dict[str, Certificate] = {}
        """By name, those that are signed."""
        self.radius_counters: dict[str, str] = {}
        """What /radius/monitor says, where that is not 0."""

    def login(self, username: str, peer: str) -> tuple[str, frozenset[str]] | None:
        """Password and policies of one who may come in from `peer`."""
        for user in self.tables.find("/user", name=username, disabled="false"):
            given = self.tables.one("/user/group", name=user["group"])["policy"].split(",")
            if "api" in given and admits(user["address"], peer):
                return user.get("password", ""), frozenset(given) & frozenset(POLICIES)
        return None

    def service(self, name: str) -> Item:
        return next(item for item in self.tables.find("/ip/service", name=name) if item.get("dynamic") != "true")

    def certificate(self) -> Certificate | None:
        """Of api-ssl."""
        return self.certificates.get(self.service("api-ssl").get("certificate", "none"))

    def give_user(self, username: str, password: str, policies: str = "api,read,write,test,sensitive,ftp") -> None:
        """In a group of the same name."""
        self.tables.add("/user/group", {"name": username, "policy": policies})
        self.tables.add("/user", {"name": username, "password": password, "group": username})

    def give_certificate(self, name: str = "api") -> str:
        """A new one to api-ssl; its SHA-256."""
        if not self.tables.find("/certificate", name=name):
            self.tables.add("/certificate", {"name": name, "common-name": name})
        self.service("api-ssl")["certificate"] = name
        return self._sign(name).sha256

    def restart(self) -> None:
        """What was plugged in or logged in is gone; what was scheduled is done."""
        self.booted_at = time.monotonic()
        for path in _RUNTIME:
            self.tables.items(path).clear()
        for package in self.tables.items("/system/package"):
            if scheduled := package.get("scheduled"):
                package.update(disabled="true" if scheduled.endswith("disable") else "false", scheduled="")

    def snapshot(self) -> dict[str, list[Item]]:
        """What is configured, menu by menu, in its order; without counters and what lives."""
        return {
            path: [_configured(path, item) for item in self.tables.items(path)]
            for path, menu in MENUS.items()
            if path not in (*_RUNTIME, "/system/resource") and menu.commands and self.tables.menu(path)
        }

    def _read(self, path: str, item: Item) -> Item:
        if path == "/system/resource":
            return self._resource()
        if item.get("disabled") != "true" and not self.tables.allows(MENUS[path].feature):
            return {**item, "invalid": "true", ".about": INACTIVE}
        if path == "/file" and "contents" in item:
            return {**item, "size": str(len(item["contents"].encode("utf-8", "surrogateescape")))}
        return item

    def _resource(self) -> Item:
        memory, disk = self.model.memory_mib * _MIB, self.model.disk_mib * _MIB
        return {
            "uptime": time_of(time.monotonic() - self.booted_at),
            "version": f"{'.'.join(map(str, self.version))} ({'long-term' if self.version < (7,) else 'stable'})",
            "build-time": "2026-01-01 00:00:00",
            "free-memory": str(memory // 2),
            "total-memory": str(memory),
            "cpu-count": "4",
            "cpu-frequency": "716",
            "cpu-load": str(self.cpu_load_percent),
            "free-hdd-space": str(disk // 8),
            "total-hdd-space": str(disk),
            "architecture-name": self.model.architecture,
            "board-name": self.model.board,
            "platform": "MikroTik",
        }

    def _own(self, path: str, command: str, arguments: dict[str, str]) -> Result | None:
        number = next((arguments[name] for name in (".id", "numbers", "number") if name in arguments), "")
        match path, command:
            case "/certificate", "sign":
                self._sign(number)
                return Result([{"progress": "done"}])
            case "/radius", "monitor":
                self.tables.by_number("/radius", number)
                return Result([{**dict.fromkeys(_COUNTERS, "0"), **self.radius_counters}])
            case "/radius", "reset-counters":
                self.radius_counters.clear()
                return Result()
            case "/ip/hotspot/active", "login":
                return self._hotspot_login(arguments)
            case "/system/device-mode", "update":
                asked = "please activate by turning power off or pressing reset or mode button in 5m00s"
                return Result([{"status": asked}])
        return None

    def _sign(self, number: str) -> Certificate:
        item = self.tables.by_number("/certificate", number)
        made = self.certificates[item["name"]] = self_signed(item.get("common-name", ""))
        item.update({"fingerprint": made.sha256, "private-key": "true"})
        self.tables.changed("/certificate")
        return made

    def _hotspot_login(self, arguments: dict[str, str]) -> Result:
        hosts = self.tables.find("/ip/hotspot/host", address=arguments.get("ip", ""))
        if not hosts:
            raise Trap("failure: no such host", category=4)
        hosts[0]["authorized"] = "true"
        self.tables.put(
            "/ip/hotspot/active",
            server=hosts[0].get("server", ""),
            user=arguments.get("user", ""),
            address=hosts[0]["address"],
            mac_address=hosts[0].get("mac-address", ""),
            login_by="http-pap",
            radius="true",
        )
        return Result()


def admits(networks: str, peer: str) -> bool:
    """Whether `address=` of a user or a service lets `peer` in."""
    return not networks or any(ip_address(peer) in ip_network(one) for one in networks.split(","))


def _configured(path: str, item: Item) -> Item:
    properties = MENUS[path].properties
    return {
        name: value
        for name, value in item.items()
        if name == ".id" or (name in properties and not properties[name].read_only)
    }
