"""A lock on a file that tells who holds it. The kernel drops it when its holder dies, so it is never stale."""

import fcntl
import os
import struct
from pathlib import Path
from typing import IO

# struct flock of Linux: l_type, l_whence, l_start, l_len, l_pid.
_FLOCK = "hhqqi"


def take(path: Path) -> IO[bytes] | None:
    """The lock, held until the file is closed or this process ends; None if another process holds it.

    Open `path` only once in the process that holds it: closing any second handle would drop the lock.
    """
    file = path.open("ab")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def holder(path: Path) -> int:
    """Process id of whoever holds the lock, 0 if nobody does. Never to be asked by the holder itself."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return 0
    try:
        question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
    finally:
        os.close(descriptor)
    return 0 if kind == fcntl.F_UNLCK else int(pid)
