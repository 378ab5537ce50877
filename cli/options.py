"""What commands take in common: the settings, `--json`."""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import click

from settings import Settings

P = ParamSpec("P")
R = TypeVar("R")


def pass_settings(command: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Hands the command `Settings.load()` as its first argument; a SettingsError ends it in one line."""

    @functools.wraps(command)
    def with_settings(*args: P.args, **kwargs: P.kwargs) -> R:
        return command(Settings.load(), *args, **kwargs)

    return with_settings


def json_option(command: Callable[P, R]) -> Callable[P, R]:
    """Adds `--json`, which the command receives as `as_json: bool`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(command)
