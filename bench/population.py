"""Who logs in: made-up subscribers, their plans and their sessions. A number says everything about each."""

from dataclasses import dataclass

ROUTER_SECRET = "bench-router-secret"  # noqa: S105
NAS_ADDRESS = "10.0.0.1"
NAS_IDENTIFIER = "MikroTik"

# One for all: a response of MS-CHAPv2 costs most in hashing it.
PASSWORD = "correct-horse"  # noqa: S105

GIB = 1 << 30
DATA_LIMIT_BYTES = 200 * GIB - 1  # beyond 32 bits, so that answers need their Gigawords
DEVICES = 2
INTERIM_INTERVAL_S = 300
VALIDITY_DAYS = 365

# (upload, download) in kbit/s.
PLANS = ((2_000, 5_000), (5_000, 10_000), (10_000, 20_000), (20_000, 40_000), (50_000, 100_000))


@dataclass(frozen=True, slots=True)
class Subscriber:
    number: int

    @property
    def subscription_id(self) -> int:
        return self.number + 1

    @property
    def user_name(self) -> str:
        return f"subscriber{self.number:06d}"

    @property
    def plan(self) -> int:
        return self.number % len(PLANS)

    @property
    def rate_limit(self) -> str:
        """Mikrotik-Rate-Limit."""
        upload_kbps, download_kbps = PLANS[self.plan]
        return f"{upload_kbps}k/{download_kbps}k"

    @property
    def service(self) -> str:
        """`hotspot` for even numbers, `pppoe` for odd ones."""
        return "pppoe" if self.number % 2 else "hotspot"

    @property
    def mac(self) -> str:
        return "02:00:" + ":".join(f"{byte:02X}" for byte in self.number.to_bytes(4))

    @property
    def framed_ip_address(self) -> str:
        return ".".join(map(str, (0x0A40_0000 + self.number).to_bytes(4)))


@dataclass(frozen=True, slots=True)
class Session:
    """`number` tells it from every other of the run."""

    number: int
    subscriber: Subscriber

    @property
    def acct_session_id(self) -> str:
        return f"{self.nas_port:08x}"

    @property
    def nas_port(self) -> int:
        return 0x8000_0000 + self.number

    @property
    def radius_class(self) -> str:
        """Of the form that Kibali gives at a login; the peers carry it unread."""
        return f"k1.{self.subscriber.subscription_id}.{self.number:016x}"

    def octets(self, step: int) -> tuple[int, int]:
        """Acct-Input-Octets and -Output-Octets, 64 bits each, of its report number `step`; Start is step 0.

        They differ from session to session. Half the sessions that are open before a run cross 32 bits early in it.
        """
        base = self.number % 2 * (4 * GIB - 15_000_000) if self.is_open_before else 0
        return step * (100_000 + self.number % 1_000), base + step * (1_000_000 + self.number % 10_000)

    @property
    def is_open_before(self) -> bool:
        return self.number < FIRST_NEW_SESSION

    def session_time_s(self, step: int) -> int:
        """Acct-Session-Time of the report: one second more with each."""
        return OPEN_FOR_S + step - OPEN_AT_STEP if self.is_open_before else step


# Sessions that begin in a run are numbered from here on, those that are open before it from 0.
FIRST_NEW_SESSION = 1_000_000
# What an open session has reported last when a run begins, and how long it has lasted.
OPEN_AT_STEP = 12
OPEN_FOR_S = 3600
