"""Free ports that stay ours until this process ends, whatever else runs on the machine."""

import random
import socket

# Below the range from which the kernel takes ports for outgoing connections, so that none of those takes ours.
_RANGE = range(20_000, 32_000)
_held: list[socket.socket] = []


def free_port() -> int:
    """A port number free for TCP and UDP on every address, and promised to nobody else who asks this function.

    The promise is an abstract Unix socket named after the number: the kernel lets one process hold it, whichever user
    runs it, and takes it back when that process ends, however it ends.
    """
    for port in random.sample(_RANGE, len(_RANGE)):
        promise = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            promise.bind(f"\0kibali-test-port-{port}")
        except OSError:
            promise.close()
            continue
        if _is_free(port):
            _held.append(promise)
            return port
        promise.close()
    raise RuntimeError("no free port is left")


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                return False
    return True


def release_ports() -> None:
    """Gives back every promise; at the end of a test run."""
    while _held:
        _held.pop().close()
