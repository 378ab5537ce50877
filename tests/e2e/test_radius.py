"""Logins and accounting through real FreeRADIUS, packet by packet."""

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from cli.nas import Nas, NoAnswer, octets
from tests.radius import PASSWORD, SECRET, Radius

MAC = "AA:BB:CC:00:11:22"


def auth_log(radius: Radius, user_name: str, rows: int = 1) -> list[dict[str, Any]]:
    """The login's log, which is written in the background, newest first."""
    query = "SELECT * FROM auth_log WHERE username = %s ORDER BY logged_at DESC, id DESC"
    deadline = time.monotonic() + 5
    while len(found := radius.rows(query, user_name)) < rows and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def nas_at(radius: Radius, source: str) -> Nas:
    """A NAS whose packets come from `source`."""
    return radius.nas(timeout_s=0.5, tries=1, source=source)


@pytest.mark.parametrize("method", ["pap", "chap", "mschapv2"])
@pytest.mark.parametrize("service", ["hotspot", "pppoe"])
def test_a_right_password_is_let_in_and_a_wrong_one_is_told_so(radius: Radius, method: Any, service: Any) -> None:
    username = radius.subscribe(service=service).username
    nas = radius.nas()

    accept = nas.login(username, PASSWORD, method, service=service, mac=MAC)
    assert accept.code == "Access-Accept"
    assert accept.attributes["Mikrotik-Rate-Limit"] == "2000k/8000k"
    assert "Message-Authenticator" in accept.attributes

    reject = nas.login(username, "wrong", method, service=service, mac=MAC)
    assert reject.code == "Access-Reject"
    assert reject.attributes["Reply-Message"] == "Wrong username or password. Check both and try again."
    assert set(reject.attributes) <= {"Reply-Message", "Message-Authenticator", "MS-CHAP-Error"}

    newest, first = auth_log(radius, username, 2)
    assert (first["result"], first["reason"], first["service"]) == ("accept", "ok", service)
    assert (newest["result"], newest["reason"]) == ("reject", "wrong_password")
    assert first["calling_station_id"] == MAC.lower()


def test_an_accept_carries_all_that_the_plan_gives(radius: Radius) -> None:
    username = radius.subscribe(
        {
            "burst_upload_kbps": 4000,
            "burst_download_kbps": 16000,
            "burst_threshold_upload_kbps": 1000,
            "burst_threshold_download_kbps": 4000,
            "burst_time_s": 10,
            "priority": 3,
            "min_upload_kbps": 256,
            "min_download_kbps": 512,
            "idle_timeout_s": 600,
            "interim_interval_s": 120,
            "data_limit_bytes": 9 * 2**30,
            "framed_pool": "customers",
            "framed_ipv6_pool": "customers6",
            "delegated_ipv6_pool": "prefixes",
            "address_list": "shaped",
            "validity_unit": "hours",
            "validity_count": 2,
        },
        service="pppoe",
    ).username
    reply = radius.nas().login(username, PASSWORD, service="pppoe").attributes
    assert reply["Mikrotik-Rate-Limit"] == "2000k/8000k 4000k/16000k 1000k/4000k 10/10 3 256k/512k"
    assert 7190 <= reply["Session-Timeout"] <= 7200
    assert (reply["Idle-Timeout"], reply["Acct-Interim-Interval"]) == (600, 120)
    assert (reply["Mikrotik-Total-Limit-Gigawords"], reply["Mikrotik-Total-Limit"]) == (2, 2**30)
    assert (reply["Framed-Pool"], reply["Framed-IPv6-Pool"]) == ("customers", "customers6")
    assert (reply["Mikrotik-Delegated-IPv6-Pool"], reply["Mikrotik-Address-List"]) == ("prefixes", "shaped")
    assert (reply["Service-Type"], reply["Framed-Protocol"]) == ("Framed-User", "PPP")
    assert reply["Class"].startswith(b"k1.")


def test_a_static_address_takes_the_place_of_the_pools(radius: Radius) -> None:
    username = radius.subscribe(
        {"framed_pool": "customers", "delegated_ipv6_pool": "prefixes"},
        service="pppoe",
        framed_ip_address="10.9.8.7",
        delegated_ipv6_prefix="2001:db8:5::/56",
    ).username
    reply = radius.nas().login(username, PASSWORD, service="pppoe").attributes
    assert reply["Framed-IP-Address"] == "10.9.8.7"
    assert reply["Delegated-IPv6-Prefix"] == "2001:db8:5::/56"
    assert "Framed-Pool" not in reply
    assert "Mikrotik-Delegated-IPv6-Pool" not in reply


def test_a_changed_plan_counts_from_the_next_login(radius: Radius) -> None:
    subscription = radius.subscribe()
    nas = radius.nas()

    def speed() -> object:
        return nas.login(subscription.username, PASSWORD).attributes["Mikrotik-Rate-Limit"]

    assert speed() == "2000k/8000k"
    for kbps in (3000, 4000, 3000):
        radius.execute("UPDATE plan SET upload_kbps = %s WHERE id = %s", kbps, subscription.plan_id)
        assert speed() == f"{kbps}k/8000k"


@pytest.mark.parametrize(
    "user_name",
    [
        "C0:FF:EE:00:00:01",
        "c0:ff:ee:00:00:01",
        "C0-FF-EE-00-00-01",
        "C0 FF EE 00 00 01",
        "C0FF:EE00:0001",
        "C0FFEE:000001",
        "C0FFEE-000001",
        "C0FFEE000001",
    ],
)
@pytest.mark.parametrize(("method", "password"), [("pap", ""), ("pap", None), ("chap", ""), ("chap", None)])
def test_a_known_device_logs_in_by_its_address(
    radius: Radius, known_device: str, user_name: str, method: Any, password: str | None
) -> None:
    answer = radius.nas().login(user_name, user_name if password is None else password, method, mac=known_device)
    assert answer.code == "Access-Accept"


@pytest.fixture(scope="module")
def known_device(radius: Radius) -> str:
    radius.subscribe(macs=["C0:FF:EE:00:00:01"])
    return "C0:FF:EE:00:00:01"


def test_an_unknown_device_is_refused(radius: Radius) -> None:
    answer = radius.nas().login("C0:FF:EE:99:99:99", "", mac="C0:FF:EE:99:99:99")
    assert answer.code == "Access-Reject"
    assert auth_log(radius, "C0:FF:EE:99:99:99")[0]["reason"] == "unknown_device"


@pytest.mark.parametrize(
    ("user_name", "mac", "password", "service"),
    [
        ("C0:FF:EE:00:00:01", "C0:FF:EE:00:00:02", "", "hotspot"),
        ("C0:FF:EE:00:00:01", "C0:FF:EE:00:00:01", "guess", "hotspot"),
        ("C0:FF:EE:00:00:01", "C0:FF:EE:00:00:01", "", "pppoe"),
    ],
    ids=["of another device", "with a password", "by PPPoE"],
)
def test_a_name_that_is_the_address_of_a_known_device_is_not_enough(
    radius: Radius, known_device: str, user_name: str, mac: str, password: str, service: Any
) -> None:
    assert radius.nas().login(user_name, password, mac=mac, service=service).code == "Access-Reject"


def test_octets_are_counted_once_whatever_is_repeated(radius: Radius) -> None:
    subscription = radius.subscribe()
    nas = radius.nas()
    session = {
        "User-Name": subscription.username,
        "Class": nas.login(subscription.username, PASSWORD, mac=MAC).attributes["Class"],
        "Calling-Station-Id": MAC,
        "Framed-IP-Address": "10.1.1.1",
    }

    def counters(time_s: int, up: int, down: int) -> dict[str, Any]:
        return {**session, "Acct-Session-Time": time_s, **octets("Input", up), **octets("Output", down)}

    nas.account("Start", "80000001", session)
    nas.account("Interim-Update", "80000001", counters(300, 1000, 2**32 + 5))
    nas.account("Interim-Update", "80000001", counters(600, 2000, 3 * 2**32))
    nas.account("Interim-Update", "80000001", counters(600, 2000, 3 * 2**32))
    nas.account("Interim-Update", "80000001", counters(300, 1000, 2**32 + 5))
    nas.account("Stop", "80000001", counters(700, 2500, 3 * 2**32 + 7) | {"Acct-Terminate-Cause": "User-Request"})
    nas.account("Stop", "80000001", counters(700, 2500, 3 * 2**32 + 7) | {"Acct-Terminate-Cause": "User-Request"})

    (row,) = radius.rows("SELECT * FROM session WHERE subscription_id = %s", subscription.id)
    assert (row["input_octets"], row["output_octets"], row["session_time_s"]) == (2500, 3 * 2**32 + 7, 700)
    assert (row["stop_received"], row["terminate_cause"]) == (True, "User-Request")
    for table in ("usage", "usage_day"):
        (used,) = radius.rows(f"SELECT * FROM {table} WHERE subscription_id = %s", subscription.id)
        assert (used["input_octets"], used["output_octets"], used["session_time_s"]) == (2500, 3 * 2**32 + 7, 700)


def test_octets_are_exact_without_class_and_with_times_that_make_no_sense(radius: Radius) -> None:
    """As somebody who tries the server with radclient sends them: a session of 1000 s within one second."""
    subscription = radius.subscribe()
    session = f"User-Name={subscription.username},Acct-Session-Id=by-hand,Calling-Station-Id={MAC},Acct-Status-Type="
    reports = (
        "Start",
        "Interim-Update,Acct-Session-Time=300,Acct-Input-Octets=10,Acct-Output-Octets=20,Acct-Output-Gigawords=1",
        "Interim-Update,Acct-Session-Time=600,Acct-Input-Octets=30,Acct-Output-Octets=40,Acct-Output-Gigawords=2",
        "Interim-Update,Acct-Session-Time=600,Acct-Input-Octets=30,Acct-Output-Octets=40,Acct-Output-Gigawords=2",
        "Interim-Update,Acct-Session-Time=900,Acct-Input-Octets=50,Acct-Output-Octets=60,Acct-Output-Gigawords=3",
        "Stop,Acct-Session-Time=1000,Acct-Input-Octets=70,Acct-Output-Octets=80,Acct-Output-Gigawords=3",
    )
    for report in reports:
        command = ["radclient", f"127.0.0.1:{radius.settings.radius_acct_port}", "acct", SECRET]
        subprocess.run(command, input=session + report, text=True, capture_output=True, check=True)
    (row,) = radius.rows("SELECT * FROM session WHERE subscription_id = %s", subscription.id)
    assert (row["input_octets"], row["output_octets"], row["session_time_s"]) == (70, 3 * 2**32 + 80, 1000)
    (used,) = radius.rows("SELECT * FROM usage WHERE subscription_id = %s", subscription.id)
    assert (used["input_octets"], used["output_octets"]) == (70, 3 * 2**32 + 80)


def test_accounting_on_ends_the_sessions_of_that_router(radius: Radius) -> None:
    subscription = radius.subscribe()
    nas = radius.nas()
    nas.account("Start", "80000077", {"User-Name": subscription.username, "Calling-Station-Id": MAC})
    time.sleep(0.05)
    nas.account("Accounting-On", "0")
    (row,) = radius.rows("SELECT * FROM session WHERE subscription_id = %s", subscription.id)
    assert row["terminate_cause"] == "NAS-Reboot"
    assert row["stopped_at"] == row["last_seen_at"]


def test_a_router_that_is_added_is_served_without_a_restart(radius: Radius) -> None:
    username = radius.subscribe().username

    nas = nas_at(radius, "127.0.0.9")
    with pytest.raises(NoAnswer):
        nas.login(username, PASSWORD)
    radius.add_router("added", "127.0.0.9")
    deadline = time.monotonic() + 60
    while True:
        try:
            assert nas.login(username, PASSWORD).code == "Access-Accept"
            break
        except NoAnswer:
            assert time.monotonic() < deadline, "not served within 60 s"


def test_a_stranger_gets_no_answer(radius: Radius) -> None:
    with pytest.raises(NoAnswer):
        nas_at(radius, "127.0.0.66").login("anybody", PASSWORD)


def test_a_wrong_secret_gets_no_answer(radius: Radius) -> None:
    with pytest.raises(NoAnswer):
        radius.nas("not-the-secret", timeout_s=0.5, tries=1).login("anybody", PASSWORD)


def test_the_module_runs_on_our_pinned_packages_not_on_the_distributions(radius: Radius) -> None:
    """Debian's own cryptography once came first in the search path, and cost nine tenths of the speed."""
    loaded = (_process_of(radius) / "maps").read_text("utf-8")
    assert "cryptography" in loaded
    assert "dist-packages" not in loaded


def test_threads_that_share_pythons_lock_share_a_processor_and_the_receiving_one_is_free(radius: Radius) -> None:
    radius.nas().login("nobody", PASSWORD)  # by then there are all threads
    process = _process_of(radius)
    allowed = {task.name: os.sched_getaffinity(int(task.name)) for task in (process / "task").iterdir()}
    assert len(allowed) > radius.settings.radius_instances
    assert allowed.pop(process.name) == os.sched_getaffinity(0)
    assert set(map(len, allowed.values())) == {1}
    assert len(set().union(*allowed.values())) == 1
    policy = {task: os.sched_getscheduler(int(task)) for task in (process.name, *allowed)}
    assert policy.pop(process.name) == os.SCHED_OTHER
    assert set(policy.values()) == {os.SCHED_BATCH}


def _process_of(radius: Radius) -> Path:
    """/proc/PID of FreeRADIUS."""
    server = f":{radius.settings.radius_auth_port:04X} "
    inode = next(line.split()[9] for line in Path("/proc/net/udp").read_text("ascii").splitlines() if server in line)
    holders = [link for link in Path("/proc").glob("[0-9]*/fd/*") if _points_to(link, f"socket:[{inode}]")]
    return holders[0].parent.parent


def _points_to(link: Path, target: str) -> bool:
    try:
        return str(link.readlink()) == target
    except OSError:
        return False
