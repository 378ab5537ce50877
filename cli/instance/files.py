"""Files that are either the old ones or the new ones, whenever the machine stops; directories only we can enter."""

import os
from pathlib import Path

from cli.failure import Failure


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Replaces `path` by `text` in one step; unchanged content is left alone."""
    try:
        if path.read_text("utf-8") == text and path.stat().st_mode & 0o777 == mode:
            return
    except (FileNotFoundError, UnicodeDecodeError):
        pass
    new = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)  # the umask does not decide
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Makes a rename inside `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def private_directory(path: Path) -> None:
    """Makes `path`, mode 0700, or accepts it if it is ours. Raises Failure if it is someone else's.

    `Settings.run_dir` may lie in /tmp, where anyone can make a directory of that name first.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if path.is_symlink() or status.st_uid != os.geteuid():
        raise Failure(f"{path} belongs to another user. Remove it, or run as the user who owns it.")
    if status.st_mode & 0o077:
        path.chmod(0o700)
