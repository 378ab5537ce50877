"""How much memory there is, so that PostgreSQL takes its share of it: a café's box has 1 GiB, a large WISP's has 64."""

from contextlib import suppress
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
# Of the container that this is, if it is one (cgroup 2 and 1). `max`, or far more than there is, means no limit.
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))

_SHARE = 8
_LEAST_MB, _MOST_MB = 128, 4096


def memory_mb() -> int:
    """In MiB, of the machine or the container."""
    lines = dict(line.split(":", 1) for line in MEMINFO.read_text("ascii").splitlines())
    found = [int(lines["MemTotal"].split()[0]) // 1024]
    for limit in LIMITS:
        with suppress(OSError, ValueError):
            found.append(int(limit.read_text("ascii")) >> 20)
    return min(found)


def shared_buffers_mb(memory_mb: int) -> int:
    """What PostgreSQL keeps to itself: an eighth, since FreeRADIUS, API and workers live on the same machine."""
    return min(_MOST_MB, max(_LEAST_MB, memory_mb // _SHARE))
