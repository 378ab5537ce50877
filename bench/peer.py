"""The peers in one table: what answers, how many threads it has, what it keeps in the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.population import DATA_LIMIT_BYTES, PASSWORD, ROUTER_SECRET, Subscriber
from bench.sql_tables import DATABASE, ROLE, ROLE_PASSWORD
from bench.surroundings import Surroundings, running_kibali, running_peer
from cli.instance import freeradius

CONFIGURATIONS = Path(__file__).parent / "peers"


@dataclass(frozen=True)
class Peer:
    name: str
    title: str
    tables: Literal["none", "kibali", "sql"]
    threads: int
    """0: as many as Kibali has module instances. Of what was tried, what was fastest."""
    pool: int = 0
    """Connections to PostgreSQL of each `sql` module."""
    tuned: bool = False
    """Whether the schema is the hand-tuned one."""
    asks: bool = False
    """It asks Kibali's database, though it keeps nothing there."""
    same_policy: bool = False
    """It counts devices and octets as Kibali does, and refuses whom Kibali refuses."""
    fastest_per_s: int = 0
    """More than it ever answers in a second: so many packets are prepared."""

    @property
    def is_ours(self) -> bool:
        return self.tables == "kibali"


PEERS = {
    peer.name: peer
    for peer in (
        Peer("static", "FreeRADIUS, static answers", "none", threads=2, fastest_per_s=85_000),
        Peer("python", "rlm_python3, no database", "none", threads=0, fastest_per_s=60_000),
        Peer("python-batch", "rlm_python3, one question a batch", "none", threads=0, asks=True, fastest_per_s=30_000),
        Peer("sql-stock", "rlm_sql, stock", "sql", threads=6, pool=6, fastest_per_s=12_000),
        Peer("sql-tuned", "rlm_sql, tuned by hand", "sql", 6, 6, tuned=True, same_policy=True, fastest_per_s=12_000),
        Peer("kibali", "Kibali", "kibali", threads=0, same_policy=True, fastest_per_s=30_000),
    )
}


@contextmanager
def running(peer: Peer, around: Surroundings) -> Iterator[int]:
    """The process id of the peer's FreeRADIUS."""
    if peer.is_ours:
        with running_kibali(around) as pid:
            yield pid
        return
    threads = peer.threads or around.settings.radius_instances
    if peer.name.startswith("python"):
        _write_instances(around.settings.run_dir / "peer", threads * freeradius.INSTANCES_PER_THREAD)
    variables = {
        "BENCH_SECRET": ROUTER_SECRET,
        "BENCH_PASSWORD": PASSWORD,
        "BENCH_THREADS": str(threads),
        "BENCH_POOL": str(peer.pool),
        "BENCH_DATABASE": (
            f"host={around.settings.run_dir} port={around.settings.postgres_port} dbname={DATABASE} user={ROLE}"
            f" password={ROLE_PASSWORD}"
        ),
        "BENCH_KIBALI_DATABASE": around.settings.database_dsn("radius"),
        "BENCH_RATE_LIMIT": Subscriber(0).rate_limit,
        "BENCH_TOTAL_LIMIT": str(DATA_LIMIT_BYTES & 0xFFFF_FFFF),
        "BENCH_TOTAL_LIMIT_GIGAWORDS": str(DATA_LIMIT_BYTES >> 32),
    }
    with running_peer(around, CONFIGURATIONS / peer.name.replace("-", "_"), variables) as pid:
        yield pid


def _write_instances(directory: Path, instances: int) -> None:
    """What `./kibali run freeradius` writes for Kibali's own module: that many instances, and any one of them."""
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    names = [f"decide{number}" for number in range(instances)]
    each = "".join(f"python3 {name} {{\n    $INCLUDE ${{confdir}}/instance.conf\n}}\n" for name in names)
    (directory / "python.conf").write_text(each)
    (directory / "decide.conf").write_text("load-balance decide {\n" + "".join(f"    {n}\n" for n in names) + "}\n")
