"""Guessing passwords: answered without a query, and felt by nobody else."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from statistics import median
from threading import Event, Thread

import psycopg
import pytest

from cli.nas import Answer, Method
from isp.reasons import Reason, sentence
from settings import Settings
from tests.e2e.test_radius import auth_log
from tests.radius import PASSWORD, Radius

GUESSER, OWNER = "BC:24:11:00:0B:AD", "BC:24:11:00:00:01"
TRIES = 10
NAME_TRIES = 30


def guess(radius: Radius, username: str, times: int, mac: str = GUESSER) -> list[str]:
    """The customer's sentences."""
    nas = radius.nas()
    answers = [nas.login(username, f"guess {number}", mac=mac) for number in range(times)]
    assert {answer.code for answer in answers} == {"Access-Reject"}
    return [answer.attributes["Reply-Message"] for answer in answers]


@pytest.fixture(name="last_look_up")
def last_look_up_fixture(radius: Radius, postgres_server: Settings) -> Iterator[Callable[[], datetime]]:
    """Call it for when PostgreSQL was last asked about a login."""
    query = "SELECT query_start FROM pg_stat_activity WHERE datname = %s AND application_name = 'kibali-radius logins'"
    with psycopg.connect(postgres_server.database_admin_dsn(), autocommit=True) as connection:

        def last_look_up() -> datetime:
            ((query_start,),) = connection.execute(query, [radius.settings.database_name])
            assert isinstance(query_start, datetime)
            return query_start

        yield last_look_up


def log_in(radius: Radius, username: str, mac: str = OWNER) -> Answer:
    return radius.nas().login(username, PASSWORD, mac=mac)


def test_the_eleventh_wrong_try_of_a_device_is_told_to_wait_without_a_query(
    radius: Radius, last_look_up: Callable[[], datetime]
) -> None:
    username = radius.subscribe().username
    mac = "BC:24:11:00:0B:01"
    assert log_in(radius, username).code == "Access-Accept"
    before = last_look_up()
    assert set(guess(radius, username, TRIES, mac)) == {sentence(Reason.WRONG_PASSWORD, "en")}
    looked_up = last_look_up()
    assert looked_up > before

    assert set(guess(radius, username, 5, mac)) == {sentence(Reason.TOO_MANY_FAILURES, "en")}
    assert log_in(radius, username, mac).code == "Access-Reject"  # not even by the right password: it may be a guess
    assert last_look_up() == looked_up
    reasons = [entry["reason"] for entry in auth_log(radius, username, TRIES + 7)]
    assert reasons == [*["too_many_failures"] * 6, *["wrong_password"] * TRIES, "ok"]

    assert log_in(radius, username).code == "Access-Accept"
    assert last_look_up() > looked_up


@pytest.mark.parametrize("method", ["chap", "mschapv2"])
def test_guesses_count_by_any_method(radius: Radius, method: Method) -> None:
    username, nas = radius.subscribe(service="pppoe").username, radius.nas()
    mac = "BC:24:11:00:0B:02" if method == "chap" else "BC:24:11:00:0B:03"
    for number in range(TRIES):
        reply = nas.login(username, f"guess {number}", method, service="pppoe", mac=mac)
        assert reply.attributes["Reply-Message"] == sentence(Reason.WRONG_PASSWORD, "en")
    reply = nas.login(username, "guess", method, service="pppoe", mac=mac)
    assert reply.attributes["Reply-Message"] == sentence(Reason.TOO_MANY_FAILURES, "en")


def test_trying_names_counts_too(radius: Radius) -> None:
    nas, mac = radius.nas(), "BC:24:11:00:0B:04"
    told = [nas.login(f"somebody{number}", "guess", mac=mac).attributes["Reply-Message"] for number in range(TRIES + 1)]
    assert told == [*[sentence(Reason.UNKNOWN_USER, "en")] * TRIES, sentence(Reason.TOO_MANY_FAILURES, "en")]


def test_a_rejected_customer_who_knows_the_password_is_no_guesser(radius: Radius) -> None:
    subscription = radius.subscribe(columns={"status": "suspended"})
    for _ in range(TRIES + 5):
        answer = log_in(radius, subscription.username, "BC:24:11:00:0B:05")
        assert answer.attributes["Reply-Message"] == sentence(Reason.SUSPENDED, "en")
    radius.execute("UPDATE subscription SET status = 'active' WHERE id = %s", subscription.id)
    assert log_in(radius, subscription.username, "BC:24:11:00:0B:05").code == "Access-Accept"


def test_a_name_that_many_devices_guess_at_stays_open_to_its_owners_device(
    radius: Radius, last_look_up: Callable[[], datetime]
) -> None:
    username = radius.subscribe({"devices": 2}).username
    assert log_in(radius, username).code == "Access-Accept"
    for number in range(NAME_TRIES):
        guess(radius, username, 1, f"02:00:00:00:00:{number:02X}")
    looked_up = last_look_up()
    answer = log_in(radius, username, "02:00:00:00:00:FF")
    assert answer.attributes["Reply-Message"] == sentence(Reason.TOO_MANY_FAILURES, "en")
    assert last_look_up() == looked_up
    assert log_in(radius, username).code == "Access-Accept"


def test_the_sentence_is_in_the_language_of_the_tenant(radius: Radius) -> None:
    tenant_id = radius.add_tenant("waiting", "sw")
    radius.add_router("waiting", "127.0.0.4", tenant_id)
    nas = radius.nas(source="127.0.0.4", timeout_s=0.5, tries=20)
    told = [nas.login("nobody", "guess", mac=GUESSER).attributes["Reply-Message"] for _ in range(TRIES + 1)]
    assert told == [*[sentence(Reason.UNKNOWN_USER, "sw")] * TRIES, sentence(Reason.TOO_MANY_FAILURES, "sw")]


@contextmanager
def guessing(radius: Radius, username: str) -> Iterator[None]:
    """A blocked device that does not give up, a hundred times a second."""
    guess(radius, username, TRIES)
    enough = Event()

    def go_on() -> None:
        while not enough.wait(0.01):
            guess(radius, username, 1)

    thread = Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def median_login_s(radius: Radius, username: str) -> float:
    took_s = []
    for _ in range(40):
        began = time.perf_counter()
        assert log_in(radius, username).code == "Access-Accept"
        took_s.append(time.perf_counter() - began)
    return median(took_s)


def test_others_log_in_as_fast_as_before(radius: Radius) -> None:
    username, victim = radius.subscribe().username, radius.subscribe().username
    quiet_s = median_login_s(radius, username)
    with guessing(radius, victim):
        busy_s = median_login_s(radius, username)
    # Both clients share one Python: what matters is that nobody waits for a query, a lock or a second.
    assert busy_s < 3 * quiet_s + 0.05
