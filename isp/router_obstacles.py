"""What keeps a router that can be reached from serving customers, in words with the remedy."""

from collections.abc import Collection

from isp.router_device_mode import DeviceMode

# RouterOS 6 comes in packages; 7 has these in its one.
_NEEDED_PACKAGES = ("hotspot", "ppp", "dhcp")
_NEEDED_FEATURES = ("hotspot",)


def obstacles(device_mode: DeviceMode | None, disabled_packages: Collection[str]) -> str | None:
    """None: there is nothing in the way."""
    said = []
    if device_mode is not None and (remedy := device_mode.remedy(_NEEDED_FEATURES)):
        said.append(f"Its device-mode ({device_mode.mode}) forbids the hotspot. {remedy}")
    if missing := [name for name in _NEEDED_PACKAGES if name in disabled_packages]:
        commands = ", ".join(f"/system package enable {name}" for name in missing)
        said.append(f"Its package {' and '.join(missing)} is disabled. Run {commands} and reboot it.")
    return " ".join(said) or None
