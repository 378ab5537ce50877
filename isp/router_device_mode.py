"""`/system device-mode`: what a router forbids until somebody presses its button. Absent before RouterOS 7.

A feature that is forbidden can still be configured: the item stands there with `.about` saying `inactivated, not
allowed by device-mode`, and does nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# What each mode leaves out unless the router says otherwise; of the many features those that an ISP's router needs.
_LEFT_OUT: dict[str, frozenset[str]] = {
    "home": frozenset({"hotspot", "proxy", "fetch", "scheduler", "email", "sniffer", "romon"}),
    "basic": frozenset({"hotspot", "proxy"}),
}


@dataclass(frozen=True, slots=True)
class DeviceMode:
    mode: str
    """advanced (before 7.17: enterprise), home, basic or rose."""
    said: Mapping[str, bool]
    """What the router says of single features."""
    flagged: bool = False
    """RouterOS thinks that somebody broke in, and forbids more."""

    @classmethod
    def of(cls, row: Mapping[str, str]) -> "DeviceMode":
        """From the reply of its print."""
        switches = {name: value in ("yes", "true") for name, value in row.items() if value in _SWITCH}
        return cls(row.get("mode", "advanced"), switches, switches.get("flagged", False))

    def allows(self, feature: str) -> bool:
        return self.said.get(feature, feature not in _LEFT_OUT.get(self.mode, ()))

    def remedy(self, features: Iterable[str]) -> str | None:
        """What to do at the router so that it allows `features`; None if it does."""
        forbidden = [feature for feature in features if not self.allows(feature)]
        if not forbidden and not self.flagged:
            return None
        changes = [f"{feature}=yes" for feature in forbidden] + (["flagged=no"] if self.flagged else [])
        return (
            f"Run /system device-mode update {' '.join(changes)} on the router, then press its reset or mode button, "
            "or cut its power, within 5 minutes."
        )


_SWITCH = ("yes", "no", "true", "false")
