"""An orderly stop, and certainty that nothing of the instance is left."""

import shutil
import signal
import time

from cli.instance.bring_up import guardian_pid
from cli.instance.leftovers import end_leftovers
from cli.instance.processes import send
from settings import Settings

# The guardian itself kills what does not stop in time; this is for a guardian that hangs.
_WITHIN_S = 150


def take_down(settings: Settings) -> bool:
    """Stops everything and returns when it is gone; False if nothing ran."""
    pid = guardian_pid(settings)
    if pid:
        send([pid], signal.SIGTERM)
        deadline = time.monotonic() + _WITHIN_S
        while guardian_pid(settings) == pid:
            if time.monotonic() > deadline:
                send([pid], signal.SIGKILL)
                deadline = float("inf")
            time.sleep(0.05)
    elif not settings.run_dir.exists():
        return False
    found = end_leftovers(settings)
    shutil.rmtree(settings.run_dir, ignore_errors=True)
    return found > 0 or bool(pid)
