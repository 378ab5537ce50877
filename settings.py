"""Every setting of Kibali: read once from the environment, then handed down as one frozen object.

A setting is an environment variable `KIBALI_<NAME>`. In rising order of precedence its value comes from the default
below, `<var>/secrets.env` (0600, written by `./kibali up`), `.env` in the checkout, and the environment. Nothing has to
be set to run `./kibali up`.
"""

import difflib
import ipaddress
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit, urlunsplit

CHECKOUT = Path(__file__).resolve().parent
PREFIX = "KIBALI_"

DatabaseRole = Literal["owner", "platform", "api", "worker", "radius"]
DATABASE_ROLES: tuple[DatabaseRole, ...] = ("owner", "platform", "api", "worker", "radius")


class SettingsError(Exception):
    """A setting is missing or makes no sense; the text names the variable and says what it should be."""


class Secret:
    """A string that shows itself only through `reveal()`: not in logs, tracebacks or `repr`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret('…')" if self._value else "Secret('')"


def _text(value: str) -> str:
    return value


def _path(value: str) -> Path:
    return Path(value).expanduser().absolute()


def _whole_number(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not value.isascii() or not value.isdigit() or not minimum <= int(value) <= maximum:
            raise ValueError(f"a whole number from {minimum} to {maximum}")
        return int(value)

    return parse


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("an IPv4 or IPv6 address such as 0.0.0.0 or 127.0.0.1") from None


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Networks(tuple[Network, ...]):
    """Shows itself as the setting is written."""

    __slots__ = ()

    def __str__(self) -> str:
        return ",".join(map(str, self))


def _networks(value: str) -> Networks:
    try:
        return Networks(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())
    except ValueError:
        raise ValueError("addresses or networks such as 196.201.214.200,196.201.213.0/24") from None


class Seconds(tuple[int, ...]):
    """Shows itself as the setting is written."""

    __slots__ = ()

    def __str__(self) -> str:
        return ",".join(map(str, self))


def _rising_seconds(value: str) -> Seconds:
    parts = [part.strip() for part in value.split(",")]
    if all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
        seconds = Seconds(map(int, parts))
        if seconds[0] > 0 and all(earlier < later for earlier, later in pairwise(seconds)):
            return seconds
    raise ValueError("whole seconds that rise, such as 20,60,120")


class Addresses(tuple[ipaddress.IPv4Address, ...]):
    """Shows itself as the setting is written."""

    __slots__ = ()

    def __str__(self) -> str:
        return ",".join(map(str, self))


def _addresses(value: str) -> Addresses:
    try:
        return Addresses(ipaddress.IPv4Address(part.strip()) for part in value.split(",") if part.strip())
    except ValueError:
        raise ValueError("IPv4 addresses such as 198.51.100.7,198.51.100.8") from None


def _private_network(value: str) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.IPv4Network(value.strip())
    except ValueError:
        network = None
    if network is None or not 8 <= network.prefixlen <= 29:
        raise ValueError("an IPv4 network of /8 to /29 such as 10.254.0.0/16")
    return network


def _host(value: str) -> str:
    if not re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)?", value, re.ASCII):
        raise ValueError("a name or an IPv4 address such as hub.example.net, without a port")
    return value


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value and (urlsplit(value).scheme not in schemes or value.count("://") != 1):
            raise ValueError(f"a URL that begins with {' or '.join(scheme + '://' for scheme in schemes)}")
        return value

    return parse


def _voucher_url(value: str) -> str:
    if value and (urlsplit(value).scheme not in ("https", "http") or "{code}" not in value):
        raise ValueError("a URL that begins with https:// or http:// and has {code} where the code is to stand")
    return value


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return value

    return parse


def _node(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{0,64}", value, re.ASCII):
        raise ValueError("up to 64 letters, digits, dots, dashes and underscores")
    return value


_port = _whole_number(1, 65535)


def _setting(default: str, parse: Callable[[str], Any], doc: str) -> Any:
    return field(metadata={"default": default, "parse": parse, "doc": doc})


@dataclass(frozen=True)
class Settings:
    """All settings, parsed. Build it with `load`; tests build it with `load({...})` from a mapping of their own."""

    var: Path = _setting(
        str(CHECKOUT / "var"), _path, "Directory of everything Kibali writes: data, logs, secrets, spool."
    )
    node: str = _setting(
        "",
        _node,
        "Name of this machine, where several share a PostgreSQL and a Redis. None: its host name.",
    )
    log_level: str = _setting("info", _one_of("debug", "info", "warning", "error"), "Least severe line that is logged.")

    http_bind: str = _setting("127.0.0.1", _address, "Address the API listens on.")
    http_port: int = _setting("8080", _port, "TCP port of the API.")
    public_url: str = _setting(
        "",
        _url("https", "http"),
        "Where the API is reached from outside, such as https://pay.example.net; M-Pesa sends its callbacks there.",
    )

    voucher_url: str = _setting(
        "",
        _voucher_url,
        "Page on which vouchers are redeemed, for the QR codes of print sheets: such as "
        "https://wifi.example.net/login?voucher={code}. None: a QR code holds the voucher's code alone.",
    )
    webhook_sources: Networks = _setting(
        "",
        _networks,
        "Addresses that M-Pesa's callbacks come from. What comes from elsewhere is believed only when M-Pesa confirms "
        "it. None: the secret in the callback's address is enough.",
    )
    webhook_networks: Networks = _setting(
        "",
        _networks,
        "Networks that outgoing webhooks may reach beside the public internet, such as 10.20.0.0/16. None: no other.",
    )
    metrics_sources: Networks = _setting(
        "127.0.0.1,::1", _networks, "Addresses that may read /metrics without the token: Prometheus's."
    )
    metrics_token: Secret = _setting("", Secret, "Token with which /metrics is read from elsewhere.")
    trusted_proxies: Networks = _setting(
        "127.0.0.1,::1", _networks, "Reverse proxies in front of the API, whose X-Forwarded-For is believed."
    )

    api_requests_per_minute: int = _setting(
        "6000",
        _whole_number(0, 1_000_000),
        "Requests that one API token or session may make in a minute; more are answered 429. 0: any number.",
    )

    radius_bind: str = _setting("0.0.0.0", _address, "Address FreeRADIUS listens on for routers.")  # noqa: S104
    radius_auth_port: int = _setting("1812", _port, "UDP port for Access-Requests.")
    radius_acct_port: int = _setting("1813", _port, "UDP port for Accounting-Requests.")
    radius_status_port: int = _setting("18121", _port, "UDP port for Status-Server, on loopback only.")
    radius_instances: int = _setting(
        "64", _whole_number(1, 256), "Threads of FreeRADIUS; packets that wait at the same time are decided together."
    )

    radius_reject_delay_s: int = _setting(
        "1", _whole_number(0, 5), "Seconds a reject is held back, so that guessing passwords is slow."
    )
    radius_status_secret: Secret = _setting("", Secret, "Shared secret of the Status-Server listener.")

    server_addresses: Addresses = _setting(
        "",
        _addresses,
        "Addresses of this machine as routers see them: their RADIUS packets go to the first, their API is used and "
        "CoA is sent from all. What bootstrap scripts are made with.",
    )
    tunnel_network: ipaddress.IPv4Network = _setting(
        "10.254.0.0/16",
        _private_network,
        "Addresses of routers that dial out to us from behind carrier NAT; the first is our own. It must not be used "
        "in the networks of the routers.",
    )
    tunnel_endpoint: str = _setting(
        "",
        _host,
        "Name or address that those routers dial. None: the first of KIBALI_SERVER_ADDRESSES.",
    )
    wireguard_port: int = _setting("51820", _port, "UDP port that they dial with WireGuard.")
    sstp_port: int = _setting("4443", _port, "TCP port that they dial with SSTP.")
    sstp_certificate: str = _setting(
        "",
        _text,
        "Certificate and key of the SSTP server, one PEM file on the hub. None: hub.pem beside its passwords.",
    )

    database_url: str = _setting(
        "",
        _url("postgresql", "postgres"),
        "PostgreSQL to use instead of a private one: postgresql://HOST:PORT/DATABASE. A user and password in it serve "
        "`./kibali db prepare` alone, which creates the roles; every process logs in with its own role.",
    )
    postgres_port: int = _setting("54320", _port, "TCP port of the private PostgreSQL, on loopback only.")
    database_password_owner: Secret = _setting("", Secret, "Password of role kibali_owner (tables, migrations).")
    database_password_platform: Secret = _setting("", Secret, "Password of role kibali_platform (tenants, admins).")
    database_password_api: Secret = _setting("", Secret, "Password of role kibali_api (one tenant at a time).")
    database_password_worker: Secret = _setting("", Secret, "Password of role kibali_worker (jobs).")
    database_password_radius: Secret = _setting("", Secret, "Password of role kibali_radius (logins, accounting).")

    redis_url: str = _setting(
        "", _url("redis", "rediss"), "Redis to use instead of a private one: redis://:PASSWORD@HOST:PORT/0."
    )
    redis_port: int = _setting("63790", _port, "TCP port of the private Redis, on loopback only.")
    redis_password: Secret = _setting("", Secret, "Password of the private Redis.")

    daraja_url: str = _setting(
        "",
        _url("https", "http"),
        "Gateway to M-Pesa to use instead of Safaricom's production, by payment accounts that name none: https://HOST.",
    )

    payment_queries_s: Seconds = _setting(
        "20,60,120,300,900",
        _rising_seconds,
        "Seconds after a prompt at which M-Pesa is asked what became of it, as long as nobody told.",
    )

    gateway_networks: Networks = _setting(
        "",
        _networks,
        "Networks outside the public internet that the base_url of a payment account may lead to, such as 10.1.2.0/24; "
        "there http will do. KIBALI_DARAJA_URL needs none.",
    )
    keep_events_months: int = _setting(
        "3", _whole_number(1, 120), "Whole months that events stay readable behind the running one."
    )
    keep_passing_events_hours: int = _setting(
        "24",
        _whole_number(1, 2400),
        "Hours that events stay readable which only say how something is: dashboard.stats, router.live, progress.",
    )
    keep_auth_log_months: int = _setting("3", _whole_number(1, 120), "The same for the log of logins.")
    keep_sessions_months: int = _setting("24", _whole_number(1, 240), "The same for sessions that are over.")
    keep_usage_months: int = _setting(
        "25", _whole_number(2, 240), "The same for usage per day, which limits per month are counted by."
    )
    keep_audit_months: int = _setting("24", _whole_number(1, 240), "The same for the audit log.")
    keep_jobs_days: int = _setting("7", _whole_number(1, 3650), "Days that jobs stay readable which succeeded.")
    keep_failed_jobs_days: int = _setting("90", _whole_number(1, 3650), "Days that failed jobs can be tried again.")
    keep_deliveries_days: int = _setting(
        "30", _whole_number(1, 3650), "Days that deliveries of outgoing webhooks stay readable."
    )

    encryption_keys: Secret = _setting(
        "",
        Secret,
        "AES-256 keys for secrets at rest as ID:BASE64[,ID:BASE64…]; the first encrypts, all decrypt. "
        "Lose them and every stored password is lost.",
    )

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, checkout: Path = CHECKOUT) -> "Settings":
        """Settings from `environ` (the process's own if None), `.env` and `<var>/secrets.env`.

        Raises SettingsError for a value that makes no sense and for a KIBALI_ variable that does not exist.
        """
        environ = os.environ if environ is None else environ
        given = {**_read_env_file(checkout / ".env"), **_ours(environ, "the environment")}
        var = _parse(cls, "var", given)
        given = {**_read_env_file(var / "secrets.env"), **given}
        return cls(**{spec.name: _parse(cls, spec.name, given) for spec in fields(cls)})

    def environment(self) -> dict[str, str]:
        """The settings as environment variables that `load` reads back, secrets left out."""
        return {
            PREFIX + spec.name.upper(): str(getattr(self, spec.name))
            for spec in fields(self)
            if not isinstance(getattr(self, spec.name), Secret) and not (spec.name.endswith("_url"))
        }

    @property
    def run_dir(self) -> Path:
        """Directory of sockets and pid files. Socket paths hold 107 bytes: a deep `var` gets a short one elsewhere."""
        inside = self.var / "run"
        if len(os.fsencode(inside)) <= 80:
            return inside
        return Path("/tmp") / f"kibali-{os.getuid()}-{sha256(os.fsencode(self.var)).hexdigest()[:12]}"  # noqa: S108

    @property
    def local_api_url(self) -> str:
        """Where a process on this machine reaches the API: at loopback if it listens on a wildcard."""
        address = ipaddress.ip_address(self.http_bind)
        loopback = "127.0.0.1" if address.version == 4 else "::1"
        host = loopback if address.is_unspecified else self.http_bind
        return f"http://[{host}]:{self.http_port}" if address.version == 6 else f"http://{host}:{self.http_port}"

    @property
    def node_name(self) -> str:
        """By which this machine is told apart from others that share its stores."""
        return self.node or socket.gethostname()

    @property
    def secrets_file(self) -> Path:
        return self.var / "secrets.env"

    @property
    def owns_postgres(self) -> bool:
        """Whether `up` runs a private PostgreSQL."""
        return not self.database_url

    @property
    def owns_redis(self) -> bool:
        return not self.redis_url

    @property
    def database_name(self) -> str:
        return urlsplit(self.database_url).path.strip("/") or "kibali"

    def database_admin_dsn(self, database: str = "postgres") -> str:
        """A libpq URL that may create roles and databases: of the private superuser, or the configured one."""
        if self.owns_postgres:
            return (
                f"postgresql://postgres@/{database}?host={quote(str(self.run_dir), safe='')}&port={self.postgres_port}"
            )
        return urlunsplit(urlsplit(self.database_url)._replace(path=f"/{database}"))

    def database_dsn(self, role: DatabaseRole, database: str | None = None) -> str:
        """A libpq URL for one role, `database` replacing the configured one.

        Raises SettingsError if that role's password is not set.
        """
        password: Secret = getattr(self, f"database_password_{role}")
        user, secret = f"kibali_{role}", password.reveal()
        if self.owns_postgres:
            where, query = "", f"host={quote(str(self.run_dir), safe='')}&port={self.postgres_port}"
            path = f"/{database or self.database_name}"
        else:
            url = urlsplit(self.database_url)
            where = url.netloc.rpartition("@")[2]  # as it stands: libpq takes several hosts and [IPv6]
            path, query = f"/{database or self.database_name}", url.query
        if not secret:
            variable = f"{PREFIX}DATABASE_PASSWORD_{role.upper()}"
            raise SettingsError(f"{variable} is not set. `./kibali up` makes it; elsewhere, set it in the environment.")
        return urlunsplit(("postgresql", f"{quote(user)}:{quote(secret, safe='')}@{where}", path, query, ""))

    def redis_dsn(self) -> str:
        """A redis:// URL. Raises SettingsError if the private Redis has no password yet."""
        if not self.owns_redis:
            return self.redis_url
        if not self.redis_password:
            raise SettingsError(f"{PREFIX}REDIS_PASSWORD is not set. `./kibali up` makes it; or set {PREFIX}REDIS_URL.")
        return f"redis://:{quote(self.redis_password.reveal(), safe='')}@127.0.0.1:{self.redis_port}/0"


def _parse(cls: type[Settings], name: str, given: Mapping[str, str]) -> Any:
    spec = next(spec for spec in fields(cls) if spec.name == name)
    variable = PREFIX + name.upper()
    value = given.get(variable, spec.metadata["default"])
    try:
        return spec.metadata["parse"](value)
    except ValueError as error:
        shown = "what it is set to" if name.endswith("_url") else repr(value)  # a URL may hold a password
        raise SettingsError(f"{variable} must be {error}, not {shown}.") from None


def _ours(values: Mapping[str, str], source: str) -> dict[str, str]:
    """The KIBALI_ variables among `values`; SettingsError names an unknown one and its nearest neighbour."""
    known = {PREFIX + spec.name.upper() for spec in fields(Settings)}
    ours = {name: value for name, value in values.items() if name.startswith(PREFIX)}
    for name in ours.keys() - known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else " docs/settings.md lists them all."
        raise SettingsError(f"{name} in {source} is not a setting.{hint}")
    return ours


def _read_env_file(path: Path) -> dict[str, str]:
    """NAME=VALUE lines; blank lines and # comments are skipped, quotes around the value are taken off."""
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError:
        raise SettingsError(f"{path} cannot be read by this user. Run as the user who owns it, or as root.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8 text.") from None
    values = {}
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.removeprefix("export ").partition("=")
        if not equals:
            raise SettingsError(f"{path}, line {number}: expected NAME=VALUE.")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[name.strip()] = value
    return _ours(values, str(path))
