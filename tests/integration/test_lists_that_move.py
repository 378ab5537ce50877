"""Pages of a list in which rows come and go: nothing comes twice, and what stood all the time is not missed."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
import pytest

from settings import Settings
from tests.integration.api_server import Client
from tests.integration.job_bench import wait_until

STANDING = 150


@contextmanager
def coming_and_going(settings: Settings, tenant_id: int) -> Iterator[list[int]]:
    """Somebody who makes subscribers all over the alphabet and deletes them; a list of how many they made."""
    stop, made = threading.Event(), [0]

    def run() -> None:
        with psycopg.connect(settings.database_admin_dsn(settings.database_name), autocommit=True) as connection:
            for number in itertools.count():
                if stop.is_set():
                    return
                name = f"{chr(ord('a') + number * 7 % 26)} moves {number}"
                connection.execute("INSERT INTO subscriber (tenant_id, name) VALUES (%s, %s)", (tenant_id, name))
                connection.execute(
                    "DELETE FROM subscriber WHERE id IN (SELECT id FROM subscriber WHERE name LIKE '%% moves %%'"
                    " AND tenant_id = %s ORDER BY random() LIMIT (random() * 1.6)::integer)",
                    (tenant_id,),
                )
                made[0] += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield made
    finally:
        stop.set()
        thread.join(20)
        with psycopg.connect(settings.database_admin_dsn(settings.database_name), autocommit=True) as connection:
            connection.execute("DELETE FROM subscriber WHERE name LIKE '%% moves %%' AND tenant_id = %s", (tenant_id,))


def has_grown(made: list[int], so_far: int) -> bool:
    return made[0] > so_far


@pytest.mark.parametrize("sort", ["id", "-id", "name", "-name", "created_at", "-created_at"])
def test_pages_hold_what_stood_all_the_time_once_while_others_come_and_go(api: Client, sort: str) -> None:
    if not api.get("/subscribers", limit=1)["items"]:
        for number in range(STANDING):
            api.subscriber(name=f"{chr(ord('a') + number % 26)} stands {number}")
    with coming_and_going(api.settings, api.operator.tenant_id) as made:
        seen: list[dict[str, object]] = []
        cursor: str | None = None
        while True:
            so_far = made[0]
            page = api.get("/subscribers", sort=sort, limit=7, **({"cursor": cursor} if cursor else {}))
            seen += page["items"]
            cursor = page["next"]
            if cursor is None or len(seen) > 20 * STANDING:
                break
            wait_until(partial(has_grown, made, so_far), "somebody came")
    ids = [row["id"] for row in seen]
    assert len(set(ids)) == len(ids)
    standing = [row for row in seen if " stands " in str(row["name"])]
    assert len(standing) == STANDING
