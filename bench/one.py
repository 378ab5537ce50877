"""`python -m bench.one`: single points, a line for each, for whoever tunes.

`--keep DIR` keeps the filled database between calls, which then begin at once.
"""

from dataclasses import replace
from pathlib import Path

import click

from bench import report
from bench.peer import PEERS
from bench.surroundings import running_postgres, surroundings
from bench.whole import ready
from bench.work import WORKS, Builder, Size


@click.command()
@click.option("--peer", "peers", multiple=True, type=click.Choice(list(PEERS)))
@click.option("--work", "works", multiple=True, type=click.Choice(WORKS))
@click.option("--seconds", default=5.0)
@click.option("--warm-up", "warm_up_s", default=1.0)
@click.option("--outstanding", default=256)
@click.option("--subscribers", default=100_000)
@click.option("--rate", "offered_per_s", default=0, help="Offer so many packets a second, for latencies.")
@click.option("--keep", type=click.Path(path_type=Path))
@click.option("--threads", type=int, help="Of a peer's FreeRADIUS, in place of what bench/peer.py has.")
@click.option("--pool", type=int, help="Connections of each sql module, in place of what bench/peer.py has.")
@click.option("--set", "overrides", metavar="NAME=VALUE", multiple=True, help="A setting, as radius_instances=64.")
def main(
    peers: tuple[str, ...],
    works: tuple[str, ...],
    seconds: float,
    warm_up_s: float,
    outstanding: int,
    subscribers: int,
    offered_per_s: int,
    keep: Path | None,
    threads: int | None,
    pool: int | None,
    overrides: tuple[str, ...],
) -> None:
    """Measure each PEER with each WORK, all unless given."""
    builder = Builder(Size(subscribers, subscribers // 5))
    with surroundings(keep, dict(o.split("=", 1) for o in overrides)) as around, running_postgres(around) as pg:
        for peer in (PEERS[name] for name in peers or PEERS):
            peer = replace(peer, threads=threads or peer.threads, pool=pool or peer.pool)
            with ready(peer, around, builder, pg) as run:
                for work in works or WORKS:
                    click.echo(report.line(run.measure(work, outstanding, warm_up_s, seconds, offered_per_s)))


if __name__ == "__main__":
    main()
