"""A fake of the tests as a process of its own, for a demo."""

import os
import selectors
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cli.failure import Failure
from settings import CHECKOUT, PREFIX

_STARTS_WITHIN_S = 30
_ENDS_WITHIN_S = 5


@contextmanager
def fake_process(name: str, called: str, *arguments: str, told: str = "") -> Iterator[str]:
    """`tests.fakes.<name>`, running; the first line it says. `told` is its standard input.

    It is gone when this process is, however that ends. Raises Failure.
    """
    if not (CHECKOUT / "tests" / "fakes" / f"{name}.py").exists():
        raise Failure(f"{called} lies in tests/, which is not here. Run the demo in a whole checkout.")
    command = [sys.executable, "-m", f"tests.fakes.{name}", *arguments]
    # It is a stranger to Kibali, and gets none of its settings.
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig=KILL", "--", *command],
        cwd=CHECKOUT,
        env={**environ, "PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the demo, which then ends it
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(told)
        process.stdin.close()
        yield _first_line(process, name, called)
    finally:
        process.terminate()
        try:
            process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _first_line(process: "subprocess.Popen[str]", name: str, called: str) -> str:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline() if selector.select(_STARTS_WITHIN_S) else ""
    if not line:
        raise Failure(f"{called} did not start. Try `python -m tests.fakes.{name}` by hand.")
    return line
