"""`python -m bench.router_fleet`: fake routers in a process of their own, and when each of them was read.

Prints their ports as JSON in one line; for each line of its input how many connections each had so far; when its input
ends, when each was read.
"""

import asyncio
import json
import sys
import time
from typing import Any

import click

from tests.fakes.routeros import FakeRouter, ready_router
from tests.ports import free_port

READ = "/system/resource/print"


class Timed(list[Any]):
    """What a fake router heard: only when it was read, so that a long run takes no memory."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def append(self, heard: Any) -> None:
        if heard.words[0] == READ:
            self.times.append(time.monotonic())


async def _run(healthy: int, hanging: int, refusing: int, latency_s: float) -> None:
    routers: list[FakeRouter] = []
    for number in range(healthy + hanging):
        router = ready_router("7.16", latency_s=latency_s, number=number + 1, mute=number >= healthy)
        router.heard = Timed()
        await router.start()
        routers.append(router)
    ports = [router.ports["api-ssl"] for router in routers] + [free_port() for _ in range(refusing)]
    print(json.dumps(ports), flush=True)  # noqa: T201
    while await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
        print(json.dumps([router.connections for router in routers]), flush=True)  # noqa: T201
    times = [router.heard.times for router in routers[:healthy] if isinstance(router.heard, Timed)]
    print(json.dumps({"times": times}), flush=True)  # noqa: T201


@click.command()
@click.option("--healthy", type=int, required=True)
@click.option("--hanging", type=int, required=True)
@click.option("--refusing", type=int, required=True)
@click.option("--latency-ms", type=float, required=True)
def main(healthy: int, hanging: int, refusing: int, latency_ms: float) -> None:
    asyncio.run(_run(healthy, hanging, refusing, latency_ms / 1000))


if __name__ == "__main__":
    main()
