"""FreeRADIUS with our configuration: what it needs written, its command, and the environment that it reads."""

import sysconfig
from pathlib import Path

from settings import CHECKOUT, Settings, SettingsError

RADDB = CHECKOUT / "freeradius" / "raddb"
# FreeRADIUS picks an instance at random and waits for it if it is busy, though others are free: so there are more.
INSTANCES_PER_THREAD = 2
BINARIES = (Path("/usr/sbin/freeradius"), Path("/usr/sbin/radiusd"))


def binary() -> Path:
    """FreeRADIUS's server. Raises SettingsError if it is not installed."""
    for path in BINARIES:
        if path.exists():
            return path
    raise SettingsError("FreeRADIUS is not installed. Run `./kibali install`.")


def prepare(settings: Settings) -> None:
    """Writes the part of the configuration that depends on the number of instances; makes its directories."""
    own = settings.run_dir / "freeradius"
    for directory in (own, settings.var / "spool", settings.var / "log"):
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
    groups = {"aaa": settings.radius_instances * INSTANCES_PER_THREAD, "settled": settings.radius_instances}
    modules, balanced = "", ""
    for group, size in groups.items():
        names = [f"{group}{number}" for number in range(size)]
        modules += "".join(f"python3 {name} {{\n    $INCLUDE ${{confdir}}/python_instance.conf\n}}\n" for name in names)
        balanced += f"load-balance {group} {{\n" + "".join(f"    {name}\n" for name in names) + "}\n"
    (own / "python.conf").write_text(modules)
    (own / "groups.conf").write_text(balanced)


def command(settings: Settings) -> list[str]:
    return [str(binary()), "-f", "-l", "stdout", "-n", "radiusd", "-d", str(RADDB)]


def environment(settings: Settings) -> dict[str, str]:
    """What freeradius/raddb expands as $ENV{RADDB…}. Raises SettingsError if the status secret is not set."""
    if not settings.radius_status_secret:
        raise SettingsError("KIBALI_RADIUS_STATUS_SECRET is not set. `./kibali up` makes it.")
    python_path = (CHECKOUT, sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    return {
        "RADDB": str(RADDB),
        "RADDB_RUN": str(settings.run_dir),
        "RADDB_SPOOL": str(settings.var / "spool"),
        "RADDB_LOG": str(settings.var / "log"),
        "RADDB_BIND": settings.radius_bind,
        "RADDB_AUTH_PORT": str(settings.radius_auth_port),
        "RADDB_ACCT_PORT": str(settings.radius_acct_port),
        "RADDB_STATUS_PORT": str(settings.radius_status_port),
        "RADDB_STATUS_SECRET": settings.radius_status_secret.reveal(),
        "RADDB_INSTANCES": str(settings.radius_instances),
        "RADDB_REJECT_DELAY": str(settings.radius_reject_delay_s),
        "RADDB_PYTHON_PATH": ":".join(dict.fromkeys(map(str, python_path))),
        # Before the distribution's packages: its cryptography, say, gives away Python's lock 15 times a call.
        "PYTHONPATH": ":".join(dict.fromkeys(map(str, python_path))),
        "TZ": "UTC",
    }
