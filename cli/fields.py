"""Options made from the models that the API validates its bodies with, so that both take the same values."""

import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from api.schemas.base import validate
from api.schemas.fields import MAX_ID
from cli.failure import Failure
from cli.output import console, print_json
from db.refusal import Invalid

F = TypeVar("F", bound=Callable[..., Any])
M = TypeVar("M", bound=BaseModel)

ID = click.IntRange(1, MAX_ID)
_FROM_STDIN = ("password", "radius_secret")


def model_options(model: type[BaseModel], *, without: tuple[str, ...] = ()) -> Callable[[F], F]:
    """An option for each field, `upload_kbps` as `--upload-kbps`; one that is not given arrives as None or ()."""

    def add(command: F) -> F:
        for name, field in reversed(model.model_fields.items()):
            if name not in without and not field.exclude:
                command = _option(name, field)(command)
        return command

    return add


def read_options(model: type[M], options: Mapping[str, Any]) -> M:
    """The model made of the options that were given; an empty one is null. Raises Failure for the first bad value."""
    given = {name: value for name, value in options.items() if value is not None and value != ()}
    values = {name: _value(name, model.model_fields[name], value) for name, value in given.items()}
    try:
        return validate(model, values)
    except Invalid as invalid:
        option = f"--{invalid.field.split('.')[0].replace('_', '-')}: " if invalid.field else ""
        raise Failure(f"{option}{invalid.message}") from None


def print_record(record: BaseModel | Mapping[str, Any], *, as_json: bool) -> None:
    """One thing: as a JSON object, or a line for each of its fields that has a value."""
    values = record.model_dump(mode="json") if isinstance(record, BaseModel) else dict(record)
    if as_json:
        print_json(values)
        return
    width = max(map(len, values))
    for name, value in values.items():
        if value is not None and value != []:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else _word(value)
            console().print(f"{name.replace('_', ' '):<{width}}  {shown}", markup=False, soft_wrap=True)


def _option(name: str, field: FieldInfo) -> Callable[[F], F]:
    flag = f"--{name.replace('_', '-')}"
    kind = _kind(field.annotation)
    default = field.get_default(call_default_factory=True)
    shown = f"Default: {_word(default)}." if default not in (None, [], "") and not field.is_required() else ""
    if name in _FROM_STDIN:
        shown = "- reads it from standard input."
    if field.is_required():
        shown = "Required."
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=shown)
    if get_origin(kind) is Literal:
        return click.option(flag, name, type=click.Choice([*get_args(kind), *_null(field)]), help=shown)
    if get_origin(kind) is list:
        return click.option(flag, name, multiple=True, metavar="TEXT", help="May be given several times.")
    return click.option(flag, name, metavar="NUMBER" if kind is int else "TEXT", help=shown)


def _value(name: str, field: FieldInfo, value: Any) -> Any:
    if isinstance(value, tuple):
        item_type = _kind(get_args(_kind(field.annotation))[0])
        return [_number(item) if item_type is int else item for item in value if item]  # --macs "" leaves none
    if value == "" and _is_nullable(field):
        return None
    if name in _FROM_STDIN and value == "-":
        return sys.stdin.readline().rstrip("\r\n")
    if _kind(field.annotation) is int and isinstance(value, str):
        return _number(value)
    return value


def _number(value: str) -> int | str:
    return int(value[:30]) if value.isascii() and value.isdigit() else value


def _null(field: FieldInfo) -> list[str]:
    return [""] if _is_nullable(field) and not field.is_required() else []


def _kind(annotation: Any) -> Any:
    """The type behind `X | None` and `Annotated[X, …]`."""
    while True:
        if get_origin(annotation) in (Union, types.UnionType):
            annotation = next(part for part in get_args(annotation) if part is not type(None))
        elif hasattr(annotation, "__metadata__"):
            annotation = get_args(annotation)[0]
        else:
            return annotation


def _is_nullable(field: FieldInfo) -> bool:
    return type(None) in get_args(field.annotation)


def _word(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
