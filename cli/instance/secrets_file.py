"""`<var>/secrets.env`: the passwords and keys of this instance, made once and never replaced."""

import base64
import secrets
from collections.abc import Callable
from dataclasses import fields

from cli.failure import Failure
from cli.instance.files import write_atomically
from settings import PREFIX, Secret, Settings

_HEADER = """\
# Passwords and keys of this Kibali, made by `./kibali up`. Keep a copy of this file in a safe place:
# without KIBALI_ENCRYPTION_KEYS every stored password is lost.
"""


def _password() -> str:
    return secrets.token_urlsafe(24)


def _encryption_keys() -> str:
    return "k1:" + base64.b64encode(secrets.token_bytes(32)).decode("ascii")


_MAKERS: dict[str, Callable[[], str]] = {
    "database_password_owner": _password,
    "database_password_platform": _password,
    "database_password_api": _password,
    "database_password_worker": _password,
    "database_password_radius": _password,
    "redis_password": _password,
    "radius_status_secret": _password,
    "metrics_token": _password,
    "encryption_keys": _encryption_keys,
}


def make_missing_secrets(settings: Settings) -> bool:
    """Adds what `settings` lacks to the file; what has a value anywhere is left alone. True if anything was added.

    The settings are frozen: load them again afterwards.
    """
    missing = [name for name, make in _MAKERS.items() if not getattr(settings, name)]
    if not missing:
        return False
    if "encryption_keys" in missing and settings.owns_postgres and (settings.var / "postgres").exists():
        raise Failure(
            f"there is a database in {settings.var / 'postgres'}, but KIBALI_ENCRYPTION_KEYS, which its passwords are "
            f"encrypted with, is gone. Put {settings.secrets_file} back from a copy."
        )
    settings.var.mkdir(mode=0o750, parents=True, exist_ok=True)
    try:
        text = settings.secrets_file.read_text("utf-8")
    except FileNotFoundError:
        text = _HEADER
    if not text.endswith("\n"):
        text += "\n"
    text += "".join(f"{PREFIX}{name.upper()}={_MAKERS[name]()}\n" for name in missing)
    write_atomically(settings.secrets_file, text)
    return True


def secret_values(settings: Settings) -> dict[str, str]:
    """Every secret as the environment variable that `Settings.load` reads it from."""
    return {
        PREFIX + spec.name.upper(): value.reveal()
        for spec in fields(settings)
        if isinstance(value := getattr(settings, spec.name), Secret)
    }
