"""`up`, `down` and `status` with everything real, and what happens when any process is killed.

The tests of this file share one instance and run in order: each leaves it as its name says.
"""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from cli.instance import lock
from cli.instance.bring_up import guardian_pid
from cli.instance.leftovers import our_processes
from cli.instance.parts import PARTS
from cli.instance.processes import descends_from, is_alive, pids, send
from cli.instance.start import PartNotReady, start_parts
from cli.instance.status import PartStatus, part_statuses
from cli.instance.supervisor import NotRunning
from settings import CHECKOUT, Settings
from tests.instance import RunningInstance, stopped_instance
from tests.servers import kibali_command, process_environ

NAMES = [part.name for part in PARTS]
READY_AGAIN_WITHIN_S = 30


@pytest.fixture(scope="module")
def kibali() -> Iterator[RunningInstance]:
    with stopped_instance() as instance:
        yield instance


@pytest.fixture
def running(kibali: RunningInstance) -> RunningInstance:
    """The instance, everything ready; started again if the test before has stopped it."""
    if not guardian_pid(kibali.settings):
        up = kibali.kibali("up", "--detach")
        assert up.returncode == 0, up.stderr
    return kibali


@pytest.fixture
def stopped(kibali: RunningInstance) -> RunningInstance:
    if guardian_pid(kibali.settings):
        down = kibali.kibali("down")
        assert down.returncode == 0, down.stderr
    return kibali


def statuses(settings: Settings) -> dict[str, PartStatus]:
    """Name → status; empty while no supervisor answers."""
    try:
        return {status.name: status for status in part_statuses(settings)}
    except NotRunning:
        return {}


def process_ids(settings: Settings) -> dict[str, int]:
    return {name: status.pid or 0 for name, status in statuses(settings).items()}


def wait_until(condition: Callable[[], object], within_s: float, what: str) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.1)


def wait_until_ready(settings: Settings) -> None:
    def all_ready() -> bool:
        found = statuses(settings)
        return set(found) == set(NAMES) and all(status.ready for status in found.values())

    wait_until(all_ready, READY_AGAIN_WITHIN_S, "every part ready")


def nothing_is_left(settings: Settings) -> bool:
    return not our_processes(settings) and not guardian_pid(settings)


# Before the first start


@pytest.mark.parametrize(
    ("setting", "kind"), [("http_port", socket.SOCK_STREAM), ("radius_auth_port", socket.SOCK_DGRAM)]
)
def test_a_port_in_use_stops_up_with_one_line_that_names_the_setting(
    setting: str, kind: socket.SocketKind, stopped: RunningInstance
) -> None:
    port = stopped.environ[f"KIBALI_{setting.upper()}"]
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", int(port)))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        up = stopped.kibali("up", "--detach")
    assert (up.returncode, up.stdout) == (1, "")
    assert up.stderr.count("\n") == 1
    assert f"port {port} is in use" in up.stderr
    assert f"KIBALI_{setting.upper()}" in up.stderr
    assert nothing_is_left(stopped.settings)


def test_status_of_a_stopped_instance_says_how_to_start_it(stopped: RunningInstance) -> None:
    status = stopped.kibali("status")
    assert status.returncode == 1
    assert status.stderr == "kibali: not running; start it with ./kibali up\n"
    assert not stopped.status()["running"]


# Up


def test_up_makes_every_part_ready_and_says_where_everything_is(stopped: RunningInstance) -> None:
    up = stopped.kibali("up", "--detach")
    assert up.returncode == 0, up.stderr
    settings = stopped.settings
    url, radius = f"http://127.0.0.1:{settings.http_port}", f"UDP {settings.radius_auth_port}"
    for told in (url, radius, str(settings.var / "log")):
        assert told in up.stdout
    assert re.search(rf"radclient -x 127\.0\.0\.1:{settings.radius_auth_port} auth ", up.stdout)

    status = stopped.status()
    assert status["running"]
    assert [part["name"] for part in status["parts"]] == NAMES
    assert [part["name"] for part in status["parts"] if not (part["ready"] and part["state"] == "running")] == []
    assert stopped.kibali("status").returncode == 0


def test_no_secret_is_in_a_file_that_others_may_read_nor_on_a_command_line(running: RunningInstance) -> None:
    settings = running.settings
    secrets = [line.partition("=")[2] for line in settings.secrets_file.read_text().splitlines() if "=" in line[:40]]
    assert len(secrets) >= 8
    files = [path for path in settings.var.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    commands = [Path(f"/proc/{pid}/cmdline") for pid in our_processes(settings)]
    for path in [*files, *commands]:
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], path


def test_postgres_and_redis_keep_what_they_confirmed(running: RunningInstance) -> None:
    with psycopg.connect(running.settings.database_admin_dsn()) as admin:
        row = admin.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')").fetchone()
    assert row == ("on", "on")
    assert "appendonly yes" in (running.settings.run_dir / "redis.conf").read_text().splitlines()


def test_a_second_up_changes_nothing(running: RunningInstance) -> None:
    before = process_ids(running.settings), running.settings.secrets_file.read_bytes(), guardian_pid(running.settings)
    again = running.kibali("up", "--detach")
    assert again.returncode == 0, again.stderr
    assert f"http://127.0.0.1:{running.settings.http_port}" in again.stdout
    assert (
        process_ids(running.settings),
        running.settings.secrets_file.read_bytes(),
        guardian_pid(running.settings),
    ) == before


def test_a_second_up_with_other_settings_is_refused(running: RunningInstance) -> None:
    other = running.kibali("up", "--detach", http_port="1")
    assert other.returncode == 1
    assert f"KIBALI_HTTP_PORT={running.settings.http_port}" in other.stderr
    assert "./kibali down first" in other.stderr


def test_two_up_at_once_the_second_says_so(running: RunningInstance) -> None:
    with lock.take(running.settings.var / "up.lock") or pytest.fail("nobody else holds it"):
        second = running.kibali("up", "--detach")
    assert (second.returncode, second.stderr.count("\n")) == (1, 1)
    assert f"another ./kibali up is at work (process {os.getpid()})" in second.stderr


def test_a_part_that_does_not_become_ready_is_named_with_its_log(running: RunningInstance) -> None:
    settings = running.settings
    pid = process_ids(settings)["api"]
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(PartNotReady) as told:
            start_parts(settings, [part for part in PARTS if part.name == "api"], within_s=0.5)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert "api is not ready after" in str(told.value)
    assert str(settings.var / "log" / "api.log") in str(told.value)


# Kill anything at any instant


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_part_is_ready_again_within_seconds(name: str, running: RunningInstance) -> None:
    before = process_ids(running.settings)
    os.kill(before[name], signal.SIGKILL)
    wait_until(lambda: process_ids(running.settings).get(name) not in (before[name], 0, None), 10, f"a new {name}")
    wait_until_ready(running.settings)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("worker-")])
def test_each_killed_process_of_a_worker_is_replaced(name: str, running: RunningInstance) -> None:
    settings = running.settings

    def children() -> set[int]:
        parent = process_ids(settings).get(name, 0)
        return {pid for pid in pids() if pid != parent and parent and descends_from(pid, parent)}

    before = children()
    for child in before:
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: len(children() - {child}) == len(before), 10, f"as many children of {name} as before")  # noqa: B023
    wait_until_ready(settings)
    assert not before & children()


def test_a_killed_supervisor_and_its_parts_are_ready_again_within_seconds(running: RunningInstance) -> None:
    settings = running.settings
    before = {pid: name for pid, name in our_processes(settings).items() if pid != guardian_pid(settings)}
    os.kill(next(pid for pid, name in before.items() if name == "supervisor"), signal.SIGKILL)
    wait_until(lambda: not any(is_alive(pid) for pid in before), 10, "the orphans ended")
    wait_until_ready(settings)


def test_nothing_outlives_a_killed_guardian_and_up_starts_again(running: RunningInstance) -> None:
    os.kill(guardian_pid(running.settings), signal.SIGKILL)
    wait_until(lambda: nothing_is_left(running.settings), 20, "every process ended")
    assert running.kibali("up", "--detach").returncode == 0
    wait_until_ready(running.settings)


def test_up_starts_over_what_a_power_cut_leaves(running: RunningInstance) -> None:
    settings = running.settings
    send(our_processes(settings), signal.SIGKILL)
    wait_until(lambda: nothing_is_left(settings), 10, "every process ended")
    assert (settings.var / "postgres" / "postmaster.pid").exists()
    assert (settings.run_dir / "supervisor.sock").exists()
    # The number of PostgreSQL's process is another program's after the reboot.
    stale = settings.var / "postgres" / "postmaster.pid"
    stale.write_text(re.sub(r"^\d+", str(os.getppid()), stale.read_text()))
    assert running.kibali("up", "--detach").returncode == 0
    wait_until_ready(settings)


# Down


def test_down_leaves_no_process_and_may_be_repeated(running: RunningInstance) -> None:
    settings = running.settings
    before = our_processes(settings)
    assert guardian_pid(settings) in before
    down = running.kibali("down")
    assert (down.returncode, down.stdout) == (0, "Kibali is stopped.\n")
    assert [pid for pid in before if is_alive(pid)] == []
    assert not settings.run_dir.exists()
    again = running.kibali("down")
    assert (again.returncode, again.stdout) == (0, "Kibali is not running.\n")
    assert not (settings.var / "postgres" / "postmaster.pid").exists(), "PostgreSQL was shut down in order"


# In the foreground


@pytest.fixture
def foreground(stopped: RunningInstance) -> Iterator[subprocess.Popen[str]]:
    """`up` in the foreground, everything ready."""
    # A shell that starts something in the background has it ignore Ctrl-C, and so would `up` if that were these tests.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        kibali_command("up"),
        cwd=CHECKOUT,
        env=process_environ(stopped.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as up:
        assert up.stdout is not None
        said = iter(up.stdout.readline, "")
        assert any(line == "Ctrl-C stops it.\n" for line in said), "up ended before everything was ready"
        yield up
        up.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_up_in_the_foreground_stops_everything(
    number: signal.Signals, foreground: subprocess.Popen[str], kibali: RunningInstance
) -> None:
    assert all(status.ready for status in statuses(kibali.settings).values())
    os.killpg(foreground.pid, number)  # as a terminal does
    assert foreground.wait(30) == 0
    assert nothing_is_left(kibali.settings)


def test_nothing_outlives_a_killed_up_in_the_foreground(
    foreground: subprocess.Popen[str], kibali: RunningInstance
) -> None:
    foreground.kill()
    wait_until(lambda: nothing_is_left(kibali.settings), 20, "every process ended")


def test_down_from_elsewhere_ends_up_in_the_foreground(
    foreground: subprocess.Popen[str], kibali: RunningInstance
) -> None:
    assert kibali.kibali("down").returncode == 0
    assert foreground.wait(10) == 0
