"""Subscribers from a file: all that can be taken is, once; what can not says why; passwords lie about nowhere."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch as replaced

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import bulk_subscribers, subscription_life
from db.engine import make_engine, session_factory
from db.subscriber_import import MOST_UNFINISHED
from db.subscription import Subscription
from settings import Settings
from tasks import subscriber_imports as imports
from tasks.stops import LeaseLost, PermanentFailure
from tests.integration.payment_api import Shop, error, shared_shop, shop_of


@pytest.fixture(scope="module")
def shop(
    server_environ: Mapping[str, str],
    postgres_server: Settings,
    redis_server: Settings,
    template_database: str,
    private_directory: Path,
) -> Iterator[Shop]:
    with shared_shop(server_environ, postgres_server, redis_server, template_database, private_directory) as shop:
        yield shop


@pytest.fixture
def worker(shop: Shop) -> Iterator[sessionmaker[Session]]:
    engine = make_engine(shop.settings, "worker", pool_size=2)
    yield session_factory(engine)
    engine.dispose()


Read = Callable[[], int]


@pytest.fixture
def own(settings: Settings) -> Iterator[Shop]:
    """Whose API's connections have nothing to tell of other tests, as idle ones do up to ten seconds later."""
    with shop_of(settings) as shop:
        yield shop


@pytest.fixture
def rows_read(own: Shop) -> Read:
    """How many rows of subscribers and subscriptions were read so far."""

    def read() -> int:
        time.sleep(0.5)  # a connection that ends tells of it a moment later
        (row,) = own.rows(
            "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint AS n FROM pg_stat_user_tables"
            " WHERE relname IN ('subscriber', 'subscription')"
        )
        return int(row["n"])

    return read


class Job:
    """A running job whose steps are commits; `dies_after` so many of them."""

    def __init__(self, settings: Settings, dies_after: int | None = None) -> None:
        self.settings = settings
        self.left = dies_after
        self.percents: list[int] = []

    def commit_step(self, session: Session) -> None:
        if self.left == 0:
            raise LeaseLost
        self.left = None if self.left is None else self.left - 1
        session.commit()

    def progress(self, percent: int) -> None:
        self.percents.append(percent)


def sent(shop: Shop, content: str | bytes, *, media_type: str = "text/csv", **params: Any) -> Any:
    body = content.encode() if isinstance(content, str) else content
    return shop.request(
        "POST", "/subscribers/import", content=body, params=params, headers={"Content-Type": media_type}
    )


def run(shop: Shop, worker: sessionmaker[Session], import_id: int, job: Job | None = None) -> Any:
    with worker() as session:
        imports.import_subscriber_file(session, job or Job(shop.settings), import_id)  # type: ignore[arg-type]
        session.commit()
    return shop.get(f"/imports/{import_id}")


def imported(shop: Shop, worker: sessionmaker[Session], content: str | bytes, **options: Any) -> Any:
    answer = sent(shop, content, **options)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/api/v1/imports/{answer.json()['id']}"
    return run(shop, worker, answer.json()["id"])


def counts(found: Any) -> tuple[int, int, int, int]:
    names = "subscribers_made", "subscriptions_made", "rows_known", "rows_bad"
    made, subscriptions, known, bad = (found[name] for name in names)
    return made, subscriptions, known, bad


def pieces(shop: Shop) -> int:
    return shop.count("subscriber_import_piece")


def test_rows_become_subscribers_with_their_subscriptions(shop: Shop, worker: sessionmaker[Session]) -> None:
    plan = shop.plan(name="Home 10M", service="pppoe")
    found = imported(
        shop,
        worker,
        "name;phone;plan;username;password;macs;framed_ip_address;expires_at\n"
        "Wanjiku;0700100001;home 10m;wanjiku;s3cret;02:AA:00:00:00:01 02:AA:00:00:00:02;10.77.0.1;"
        "2027-01-01T00:00:00Z\n"
        f"Wanjiku;0700100001;{plan['id']};wanjiku2;;;;\n"
        "Otieno;0700100002;;;;;;\n",
    )
    assert counts(found) == (2, 2, 0, 0)
    assert (found["rows_read"], found["errors"]) == (3, [])
    assert found["finished_at"] is not None
    (subscription,) = shop.get("/subscriptions", username="WANJIKU")["items"]
    assert subscription["macs"] == ["02:AA:00:00:00:01", "02:AA:00:00:00:02"]
    assert subscription["framed_ip_address"] == "10.77.0.1"
    assert subscription["expires_at"] == "2027-01-01T00:00:00Z"
    (second,) = shop.get("/subscriptions", username="wanjiku2")["items"]
    assert second["subscriber_id"] == subscription["subscriber_id"]
    assert second["state"] == "active"
    with worker() as session:
        stored = session.get_one(Subscription, subscription["id"])
        assert subscription_life.password(stored, shop.keyring) == "s3cret"
    assert shop.rows("SELECT count(*) AS n FROM usage WHERE subscription_id = %s", subscription["id"])[0]["n"] == 1


def test_the_same_file_again_makes_nothing(shop: Shop, worker: sessionmaker[Session]) -> None:
    shop.plan(name="Twice", service="hotspot")
    content = "name,msisdn,plan\nA,0700200001,Twice\nB,0700200002,\nC,0700200003,Twice\n"
    assert counts(imported(shop, worker, content)) == (3, 2, 0, 0)
    assert counts(imported(shop, worker, content)) == (0, 0, 3, 0)
    assert counts(imported(shop, worker, content + "D,0700200004,Twice\n")) == (1, 1, 3, 0)


def test_what_is_wrong_with_a_row_is_said_with_its_line_and_the_others_are_taken(
    shop: Shop, worker: sessionmaker[Session]
) -> None:
    shop.plan(name="Wrong", service="pppoe")
    shop.plan(name="Both")
    taken = shop.subscription(macs=["02:BB:00:00:00:01"], framed_ip_address="10.77.1.1", username="taken")
    assert taken
    found = imported(
        shop,
        worker,
        "name,msisdn,plan,service,username,macs,framed_ip_address\n"
        "Good,0700300001,Wrong,,good1,,\n"
        ",0700300002,,,,,\n"
        "A,12,,,,,\n"
        "A,0700300003,Nothing,,a1,,\n"
        "A,0700300003,Wrong,hotspot,a2,,\n"
        "A,0700300003,Both,,a3,,\n"
        "A,0700300003,Wrong,,,,\n"
        "A,0700300003,Wrong,,TAKEN,,\n"
        "A,0700300003,Wrong,,a4,02:BB:00:00:00:01,\n"
        "A,0700300003,Wrong,,a5,,10.77.1.1\n"
        "A,0700300004,Wrong,,good1,,\n"
        "A,,,,stranger,,\n"
        "Good,0700300005,Wrong,,good2,,\n",
    )
    assert [(each["line"], each["field"]) for each in found["errors"]] == [
        (3, "name"),
        (4, "msisdn"),
        (5, "plan"),
        (6, "service"),
        (7, "service"),
        (8, "username"),
        (9, "username"),
        (10, "macs"),
        (11, "framed_ip_address"),
        (12, "username"),
        (13, "plan"),
    ]
    assert counts(found) == (2, 2, 0, 11)


def test_a_dry_run_makes_nothing_and_says_what_a_run_would(shop: Shop, worker: sessionmaker[Session]) -> None:
    shop.plan(name="Dry", service="hotspot")
    rows = "".join(f"S{n},07005{n % 700:05},Dry\n" for n in range(1200))
    before = shop.count("subscriber"), shop.count("subscription")
    would = imported(shop, worker, "name,msisdn,plan\n" + rows, dry_run="true")
    assert (shop.count("subscriber"), shop.count("subscription")) == before
    assert counts(would) == (700, 700, 500, 0)
    assert counts(imported(shop, worker, "name,msisdn,plan\n" + rows)) == counts(would)


def test_the_key_of_a_dry_run_is_none_for_the_run(shop: Shop) -> None:
    """Who made the key of the file had the dry run's answer again, and nobody was imported."""
    headers = {"Content-Type": "text/csv", "Idempotency-Key": "file-of-june"}
    row = "name,msisdn\nJune,0700600001\n"
    path = "/subscribers/import"
    dry = shop.request("POST", path, content=row, params={"dry_run": "true"}, headers=headers)
    again = shop.request("POST", path, content=row, params={"dry_run": "true"}, headers=headers)
    assert (dry.status_code, again.json()["id"]) == (202, dry.json()["id"])
    for params in ({}, {"dry_run": "false"}):
        refused = error(shop.request("POST", path, content=row, params=params, headers=headers), 422)
        assert (refused["code"], refused["field"]) == ("key_reused", "Idempotency-Key")


def test_a_job_that_dies_goes_on_where_it_was(shop: Shop, worker: sessionmaker[Session]) -> None:
    shop.plan(name="Dies", service="hotspot")
    rows = "".join(f"S{n},07006{n:05},Dies\n" for n in range(1300))
    import_id = sent(shop, "name,msisdn,plan\n" + rows).json()["id"]
    with pytest.raises(LeaseLost):
        run(shop, worker, import_id, Job(shop.settings, dies_after=1))
    assert shop.get(f"/imports/{import_id}")["rows_read"] == 500
    job = Job(shop.settings)
    found = run(shop, worker, import_id, job)
    assert (counts(found), found["rows_read"]) == ((1300, 1300, 0, 0), 1300)
    assert job.percents == [76, 99]
    assert counts(run(shop, worker, import_id)) == (1300, 1300, 0, 0)  # a second worker that comes late


def test_what_somebody_else_takes_meanwhile_is_said_row_by_row(shop: Shop, worker: sessionmaker[Session]) -> None:
    shop.plan(name="Race", service="pppoe")
    import_id = sent(shop, "name,msisdn,plan,username\nA,0700700001,Race,race1\nB,0700700002,Race,race2\n").json()["id"]
    look = bulk_subscribers._known
    raced: list[int] = []

    def look_and_lose(*arguments: Any) -> Any:
        known = look(*arguments)
        if not raced:
            raced.append(shop.subscription(username="race1", service="pppoe")["id"])
        return known

    with replaced("db.bulk_subscribers._known", look_and_lose):
        found = run(shop, worker, import_id)
    assert counts(found) == (1, 1, 0, 1)
    assert [(each["line"], each["field"]) for each in found["errors"]] == [(2, "username")]
    assert shop.get("/subscriptions", username="race2")["items"]


def test_a_file_is_sealed_until_it_is_read_and_then_gone(shop: Shop, worker: sessionmaker[Session]) -> None:
    shop.plan(name="Sealed", service="pppoe")
    before = pieces(shop)
    secret = "Str0ng-and-visible"
    answer = sent(shop, f"name,msisdn,plan,username,password\nA,0700800001,Sealed,sealed,{secret}\n")
    stored = shop.rows("SELECT content_sealed FROM subscriber_import_piece ORDER BY import_id DESC LIMIT 1")
    assert pieces(shop) == before + 1
    assert secret.encode() not in bytes(stored[0]["content_sealed"])
    for table in ("job", "subscriber_import", "audit", "event"):
        assert secret not in json.dumps(shop.rows(f"SELECT to_jsonb(t) AS row FROM {table} t"), default=str)
    run(shop, worker, answer.json()["id"])
    assert pieces(shop) == before


def test_a_file_whose_end_can_not_be_read_fails_its_job_and_is_gone(shop: Shop, worker: sessionmaker[Session]) -> None:
    before = pieces(shop)
    import_id = sent(shop, 'name,msisdn\nA,0700900001\n"B,0700900002\n').json()["id"]
    with pytest.raises(PermanentFailure, match="Line 3 can not be read"):
        run(shop, worker, import_id)
    assert pieces(shop) == before
    assert shop.get("/subscribers", msisdn="0700900001")["items"] == []


def test_a_file_that_nobody_reads_is_deleted_after_two_days(shop: Shop, worker: sessionmaker[Session]) -> None:
    before = pieces(shop)
    import_id = sent(shop, "name,msisdn\nA,0701000001\n").json()["id"]
    with worker() as session:
        imports.forget_unread_imports(session, Job(shop.settings))  # type: ignore[arg-type]
        session.commit()
    assert pieces(shop) == before + 1
    shop.execute("UPDATE subscriber_import SET created_at = now() - interval '49 hours' WHERE id = %s", import_id)
    with worker() as session:
        imports.forget_unread_imports(session, Job(shop.settings))  # type: ignore[arg-type]
        session.commit()
    assert pieces(shop) == before


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code"),
    [
        ("nome\nA\n", "text/csv", 422, "bad_file"),
        ("name,msisdn\n", "text/csv", 422, "bad_file"),
        ("", "text/csv", 422, "bad_file"),
        ("[]", "application/json", 422, "bad_file"),
        ("name\nA\n", "text/plain", 415, "unsupported_media_type"),
        (b"name\nJos\xe9\n", "text/csv", 422, "bad_file"),
    ],
)
def test_a_file_that_is_none_is_refused_at_once(
    shop: Shop, content: str | bytes, media_type: str, status: int, code: str
) -> None:
    before = shop.count("subscriber_import")
    assert error(sent(shop, content, media_type=media_type), status)["code"] == code
    assert shop.count("subscriber_import") == before


def forget_waiting(shop: Shop) -> None:
    for each in shop.rows("SELECT id FROM subscriber_import WHERE finished_at IS NULL"):
        shop.execute("UPDATE subscriber_import SET finished_at = now() WHERE id = %s", each["id"])


def test_so_many_may_wait_and_no_more(shop: Shop, worker: sessionmaker[Session]) -> None:
    forget_waiting(shop)
    file = "name,msisdn\nWaits,0712000111\n"
    ids = [sent(shop, file).json()["id"] for _ in range(MOST_UNFINISHED)]
    answer = sent(shop, file)
    assert error(answer, 409)["code"] == "too_many"
    assert shop.request("POST", f"/jobs/{shop.get(f'/imports/{ids[0]}')['job_id']}/cancel").status_code == 200
    assert sent(shop, file).status_code == 202, "a cancelled one waits no more"
    assert sent(shop, file).status_code == 409
    run(shop, worker, ids[1])
    assert sent(shop, file).status_code == 202
    forget_waiting(shop)


def test_a_file_that_is_too_large_is_refused(shop: Shop) -> None:
    assert error(sent(shop, b"x" * 33_000_000), 413)["code"] == "too_large"


def test_what_is_exported_can_be_imported_and_makes_nothing(shop: Shop, worker: sessionmaker[Session]) -> None:
    plan = shop.plan(name="Round trip", service="hotspot")
    shop.subscription(
        subscriber_id=shop.subscriber(name="=cmd|' /C calc'!A0", msisdn="0701100001", note="two\nlines, and ü")["id"],
        plan_id=plan["id"],
        macs=["02:CC:00:00:00:01"],
    )
    shop.subscriber(name="Alone", msisdn="0701100002")
    for file_format, media_type in (("csv", "text/csv"), ("json", "application/json")):
        answer = shop.request("GET", "/subscribers/export", params={"format": file_format})
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(media_type)
        assert f".{file_format}" in answer.headers["content-disposition"]
        before = shop.count("subscriber"), shop.count("subscription")
        found = imported(shop, worker, answer.content, media_type=media_type)
        known = [row for row in found["errors"] if row["field"] != "msisdn"]
        assert (found["subscribers_made"], found["subscriptions_made"], known) == (0, 0, [])
        assert (shop.count("subscriber"), shop.count("subscription")) == before


def test_an_export_has_everybody_once_though_they_fill_many_pages(shop: Shop) -> None:
    shop.execute(
        "INSERT INTO subscriber (tenant_id, name) SELECT %s, 'Exported ' || n FROM generate_series(1, 2500) n",
        shop.operator.tenant_id,
    )
    rows = shop.request("GET", "/subscribers/export", params={"format": "json"}).json()
    keys = [(row["subscriber_id"], row["subscription_id"]) for row in rows]
    assert keys == sorted(keys, key=lambda key: (key[0], key[1] or 0))
    assert len(set(keys)) == len(keys)
    everybody = {row["id"] for row in shop.rows("SELECT id FROM subscriber WHERE archived_at IS NULL")}
    assert {key[0] for key in keys} == everybody
    shop.execute("DELETE FROM subscriber WHERE name LIKE 'Exported %%' AND tenant_id = %s", shop.operator.tenant_id)


def test_what_is_known_is_looked_up_row_by_row_before_the_tables_are_analysed(own: Shop, rows_read: Read) -> None:
    """Each batch read all that the batches before had made: the first 40,000 rows took 72 s in place of 13."""
    plan, tenant_id = own.plan(name="Many", service="pppoe"), own.operator.tenant_id
    own.execute(
        "INSERT INTO subscriber (tenant_id, name, msisdn)"
        " SELECT %s, 'Many', (254733000000 + n)::text FROM generate_series(1, 20000) n",
        tenant_id,
    )
    own.execute(
        "INSERT INTO subscription (tenant_id, subscriber_id, plan_id, service, username, password_sealed)"
        " SELECT tenant_id, id, %s, 'pppoe', 'many' || id, 'x' FROM subscriber WHERE name = 'Many' AND tenant_id = %s",
        plan["id"],
        tenant_id,
    )
    before = rows_read()
    engine = make_engine(own.settings, "worker", pool_size=1)
    rows = "".join(f"New,07340{n:05},Many,new{n},10.78.{n // 250}.{n % 250 + 1}\n" for n in range(2000))
    answer = sent(own, "name,msisdn,plan,username,framed_ip_address\n" + rows)
    found = run(own, session_factory(engine), answer.json()["id"])
    engine.dispose()  # which has its connection say what it read
    assert counts(found) == (2000, 2000, 0, 0)
    assert rows_read() - before < 50_000
