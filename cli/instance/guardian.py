"""`python -m cli.instance.guardian`: keeps supervisord, and through it every part, running until told to stop.

supervisord restarts parts; the guardian restarts supervisord, which nothing else would, and starts again what
supervisord gave up on. SIGTERM or SIGINT: an orderly stop of everything. Killed outright, it takes supervisord and the
parts with it, in order.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from cli.instance import lock, supervisor, supervisor_configuration
from cli.instance.files import private_directory
from cli.instance.leftovers import end_leftovers
from cli.instance.parts import our_parts
from cli.instance.start import PartNotReady, start_parts
from cli.instance.supervisor import NotRunning
from settings import CHECKOUT, Settings

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LOOK_EVERY_S = 0.5
# So that a supervisord that can not start at all does not keep a processor busy.
_PAUSE_S = 0.5
_STORES_WITHIN_S = 15
_OTHERS_WITHIN_S = 5


class _Stop(BaseException):
    """SIGTERM or SIGINT came."""


def lock_file(settings: Settings) -> Path:
    """Held by the guardian for as long as it lives: whoever asks for the holder knows whether the instance runs."""
    return settings.var / "guardian.lock"


def main() -> None:
    settings = Settings.load()
    held = lock.take(lock_file(settings))
    if held is None:
        sys.exit("another guardian runs this instance")
    for number in _STOP_SIGNALS:
        signal.signal(number, _raise_stop)
    try:
        _guard(settings)
    except _Stop:
        _say("stopping")
    finally:
        end_leftovers(settings)
        shutil.rmtree(settings.run_dir, ignore_errors=True)  # it may lie in /tmp; all in it is made anew
        _say("stopped")


def _guard(settings: Settings) -> None:
    wanted: set[str] = set()
    while True:
        private_directory(settings.run_dir)
        supervisor_configuration.write_configuration(settings)
        process = subprocess.Popen(
            supervisor_configuration.command(settings),
            cwd=CHECKOUT,
            env={**os.environ, supervisor.MARK: supervisor.server_url(settings)},
            stdin=subprocess.DEVNULL,
        )
        _say(f"supervisord is process {process.pid}")
        if wanted:
            _recover(settings, wanted)
        while process.poll() is None:
            wanted = _look(settings, wanted)
            time.sleep(_LOOK_EVERY_S)
        _say(f"supervisord ended with {process.returncode}; starting it again")
        end_leftovers(settings)
        time.sleep(_PAUSE_S)


def _look(settings: Settings, wanted: set[str]) -> set[str]:
    """Starts again what supervisord gave up on; the parts that are to run, by what supervisord says now."""
    try:
        states = supervisor.states(settings)
        for part in our_parts(settings):
            if part.name in states and states[part.name].state == "fatal":
                supervisor.start(settings, part)
    except NotRunning:
        return wanted
    return {name for name, state in states.items() if state.state != "stopped"}


def _recover(settings: Settings, wanted: set[str]) -> None:
    """Starts what ran before: the stores, and the rest when they are ready or have had their time."""
    parts = [part for part in our_parts(settings) if part.name in wanted]
    for stores in (True, False):
        chosen = [part for part in parts if (part.group == "stores") is stores]
        try:
            start_parts(settings, chosen, within_s=_STORES_WITHIN_S if stores else _OTHERS_WITHIN_S)
        except PartNotReady as error:
            _say(str(error))


def _raise_stop(number: int, frame: FrameType | None) -> None:
    for ignored in _STOP_SIGNALS:  # one is enough; the stop itself must run to its end
        signal.signal(ignored, signal.SIG_IGN)
    raise _Stop


def _say(text: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}", flush=True)


if __name__ == "__main__":
    main()
