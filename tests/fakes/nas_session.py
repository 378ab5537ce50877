"""Who is online at the fake NAS, and by which rules: a session is what its Access-Accept and later CoA made of it."""

import re
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from cli.nas import Method, octets

Service = Literal["hotspot", "pppoe"]
Direction = Literal["Recv", "Xmit", "Total"]

_SPEED = r"\d+[kMG]?(?:/\d+[kMG]?)?"
_RATE_LIMIT = re.compile(rf"{_SPEED}(?: {_SPEED}(?: {_SPEED}(?: \d+(?:/\d+)?(?: [1-8](?: {_SPEED})?)?)?)?)?", re.ASCII)


def is_rate_limit(text: str) -> bool:
    return _RATE_LIMIT.fullmatch(text) is not None


class SimulatedClock:
    """Seconds that pass `speed` times as fast as real ones."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._began_at = time.monotonic()

    def now_s(self) -> float:
        return (time.monotonic() - self._began_at) * self.speed


@dataclass(frozen=True)
class Subscriber:
    """A device, and how it logs in."""

    user_name: str
    password: str
    mac: str
    service: Service = "hotspot"
    method: Method = "pap"
    redials_after_s: float | None = None
    """A PPPoE router at home dials again and again, that long after it was cut off or refused; None: not."""


@dataclass
class OnlineSession:
    """A session as the router knows it: the truth that tables are compared with. Times are of the simulated clock."""

    subscriber: Subscriber
    nas_port: int
    framed_ip_address: str
    attributes: dict[str, Any]
    """Of the Access-Accept, then of each CoA-Request that was obeyed."""
    clock: SimulatedClock
    started_at: float
    used_at: float
    """When it last had traffic."""
    input_octets: int = 0
    output_octets: int = 0
    terminate_cause: str | int | None = field(default=None)
    """None while it is online."""

    @property
    def acct_session_id(self) -> str:
        return f"{self.nas_port:08x}"

    @property
    def rate_limit(self) -> str | None:
        return self.attributes.get("Mikrotik-Rate-Limit")

    @property
    def session_time_s(self) -> float:
        return self.clock.now_s() - self.started_at

    @property
    def session_timeout_s(self) -> int | None:
        """From its start."""
        return self.attributes.get("Session-Timeout")

    @property
    def left_s(self) -> float | None:
        """Until Session-Timeout; None if there is none."""
        return None if self.session_timeout_s is None else self.session_timeout_s - self.session_time_s

    def limit_octets(self, direction: Direction) -> int | None:
        """From its start. RouterOS takes a low word of 0 as no limit."""
        low = self.attributes.get(f"Mikrotik-{direction}-Limit")
        return low + (self.attributes.get(f"Mikrotik-{direction}-Limit-Gigawords", 0) << 32) if low else None

    def ends_at(self) -> float | None:
        """When it ends if nothing more happens."""
        idle_s = self.attributes.get("Idle-Timeout")
        ends = [self.started_at + self.session_timeout_s] if self.session_timeout_s is not None else []
        return min([*ends, self.used_at + idle_s] if idle_s else ends, default=None)

    def over_by(self) -> str | int | None:
        """The terminate cause of a limit that it has reached."""
        used = {
            "Recv": self.input_octets,
            "Xmit": self.output_octets,
            "Total": self.input_octets + self.output_octets,
        }
        for direction in ("Recv", "Xmit", "Total"):
            limit = self.limit_octets(direction)
            if limit is not None and used[direction] >= limit:
                return 10  # NAS-Request
        ends_at = self.ends_at()
        if ends_at is None or self.clock.now_s() < ends_at:
            return None
        is_over = self.session_timeout_s is not None and self.session_time_s >= self.session_timeout_s
        return "Session-Timeout" if is_over else "Idle-Timeout"

    def identity(self) -> dict[str, Any]:
        """What every packet says of it."""
        values: dict[str, Any] = {
            "NAS-Port-Type": "Ethernet",
            "Calling-Station-Id": self.subscriber.mac,
            "User-Name": self.subscriber.user_name,
            "NAS-Port": self.nas_port,
            "Acct-Session-Id": self.acct_session_id,
        }
        if self.subscriber.service == "hotspot":
            values |= {"Called-Station-Id": "hotspot1", "NAS-Port-Id": "bridge", "Service-Type": "Login-User"}
            values |= {"Framed-IP-Address": self.framed_ip_address, "Mikrotik-Host-IP": self.framed_ip_address}
        else:
            values |= {"Called-Station-Id": "pppoe1", "NAS-Port-Id": "ether2", "Service-Type": "Framed-User"}
            values["Framed-Protocol"] = "PPP"
        return values

    def report(self, status: str) -> dict[str, Any]:
        """An accounting record: `Start`, `Interim-Update`, `Stop`."""
        values = {"Acct-Status-Type": status, **self.identity(), "Framed-IP-Address": self.framed_ip_address}
        values.pop("Mikrotik-Host-IP", None)
        values |= {"Event-Timestamp": int(time.time()), "Acct-Delay-Time": 0}
        if "Class" in self.attributes:
            values["Class"] = self.attributes["Class"]
        if status != "Start":
            values |= {"Acct-Session-Time": int(self.session_time_s)}
            values |= {**octets("Input", self.input_octets), **octets("Output", self.output_octets)}
        if status == "Stop":
            values["Acct-Terminate-Cause"] = self.terminate_cause
        return values
