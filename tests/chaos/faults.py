"""What is done to a running Kibali, at the moments that a plan says. The supervisor starts again what was killed."""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from redis import Redis, RedisError

from cli.instance import supervisor
from cli.instance.processes import descends_from, pids
from settings import Settings
from tests.chaos.plan import Fault
from tests.fakes.daraja_control import DarajaControl

WORKERS = "worker-payments"


class Saboteur:
    """Works in a thread of its own. `done` says what was done, and when."""

    def __init__(self, settings: Settings, daraja: DarajaControl, faults: Sequence[Fault]) -> None:
        self._settings = settings
        self._daraja = daraja
        self._faults = faults
        self.done: list[str] = []
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="saboteur", daemon=True)
        self._how: dict[str, Callable[[int], bool]] = {
            "kill a payment worker": self._kill_a_worker,
            "kill all payment workers": lambda _: self._kill(WORKERS),
            "kill the API": lambda _: self._kill("api"),
            "kill the sweep": lambda _: self._kill("sweep"),
            "kill Redis": lambda _: self._kill("redis"),
            "empty Redis and kill it": self._empty_redis,
            # As pg_ctl restart -m immediate: no checkpoint, every connection broken, recovery from the log.
            "restart PostgreSQL": lambda _: self._kill("postgres", signal.SIGQUIT),
            "invalidate the token": self._invalidate_token,
        }

    def start(self) -> None:
        self._thread.start()

    def wait(self) -> None:
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        began = time.monotonic()
        try:
            for number, fault in enumerate(self._faults):
                time.sleep(max(0.0, began + fault.at_s - time.monotonic()))
                done = self._how[fault.what](number)
                end = "" if done else " (it was not there)"
                self.done.append(f"{time.monotonic() - began:6.1f} s: {fault.what}{end}")
        except Exception as error:  # noqa: BLE001 - raised again by `wait`
            self.error = error

    def _kill(self, part: str, number: signal.Signals = signal.SIGKILL) -> bool:
        pid = self._pid(part)
        return bool(pid) and _send(pid, number)

    def _kill_a_worker(self, number: int) -> bool:
        parent = self._pid(WORKERS)
        children = [pid for pid in pids() if parent and pid != parent and descends_from(pid, parent)]
        return bool(children) and _send(sorted(children)[number % len(children)], signal.SIGKILL)

    def _empty_redis(self, _: int) -> bool:
        with suppress(RedisError), Redis.from_url(self._settings.redis_dsn(), socket_timeout=2) as client:
            client.flushall()
        return self._kill("redis")

    def _invalidate_token(self, _: int) -> bool:
        self._daraja.invalidate_tokens()
        return True

    def _pid(self, part: str) -> int:
        """0 if it does not run just now."""
        with suppress(supervisor.NotRunning):
            return supervisor.states(self._settings)[part].pid
        return 0


def _send(pid: int, number: signal.Signals) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False
