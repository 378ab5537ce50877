"""What comes in and goes out, as models: the API's bodies and queries, and the options of the commands."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import SchemaSerializer, core_schema

from db.page import MAX_COUNT, MAX_LIMIT
from db.refusal import Invalid

M = TypeVar("M", bound=BaseModel)
Item = TypeVar("Item", bound=BaseModel)

# Not "1" for 1, not an unknown field, and no input repeated in an error: it may be a password.
_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Input(BaseModel):
    """A request body. Of what it does not know it takes nothing."""

    model_config = _STRICT


class Nothing(Input):
    """The body of a request that has nothing to say."""


class Query(BaseModel):
    """The parameters of a URL, which are all text."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class NoQuery(Query):
    """The URL of a request that takes no parameters."""


class ListQuery(Query):
    """What every list takes beside its `sort` and its filters."""

    limit: int = Field(50, ge=1, le=MAX_LIMIT)
    cursor: str | None = Field(None, max_length=2_000)
    count: bool = Field(False, exclude=True)
    """Not among the filters that `model_dump` gives."""
    sort: str


class Output(BaseModel):
    """An answer. It is made from a row without validation: what is stored can always be read."""

    @classmethod
    def of(cls, row: object) -> Self:
        names, read = _fields_of(cls)
        made = cls.__new__(cls)
        # As model_construct does it for values that are all there, in a third of the time: a list is many rows.
        for name, value in (
            ("__dict__", dict(zip(names, read(row), strict=True))),
            ("__pydantic_fields_set__", set(names)),
            ("__pydantic_extra__", None),
            ("__pydantic_private__", None),
        ):
            object.__setattr__(made, name, value)
        return made

    @classmethod
    def beside(cls, other: BaseModel, **more: Any) -> Self:
        """What `other` says, and more."""
        said = {name: getattr(other, name) for name in other.model_fields_set}
        return cls.model_construct(**said, **more)


class Listed(Output, Generic[Item]):
    """A page of a list. `next` is the `cursor` of the following page; null on the last one.

    `count`, if it was asked for, is how many there are on all pages; 10000 for that many or more.
    """

    items: list[Item]
    next: str | None
    count: int = Field(0, le=MAX_COUNT)

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        return f"{params[0].__name__.removesuffix('Out')}List"


@cache
def _serializer_of(model: type[Output]) -> SchemaSerializer:
    """Of rows as they are in a list of `model`."""
    schema: Any = model.__pydantic_core_schema__
    assert (schema["type"], schema["schema"]["type"]) == ("model", "model-fields"), model
    assert not schema["schema"].get("computed_fields"), model
    assert "serialization" not in schema, model
    fields = {
        name: core_schema.typed_dict_field(field["schema"], required=True)
        for name, field in schema["schema"]["fields"].items()
    }
    return SchemaSerializer(core_schema.list_schema(core_schema.typed_dict_schema(fields)))


def rows_as_json(model: type[Output], rows: Sequence[object]) -> bytes:
    """A JSON array of what `model.of` makes of each row, without making it, which takes longer than writing it."""
    names, read = _fields_of(model)
    return _serializer_of(model).to_json([dict(zip(names, read(row), strict=True)) for row in rows])


@cache
def _fields_of(model: type[BaseModel]) -> tuple[tuple[str, ...], Callable[[object], tuple[Any, ...]]]:
    """Their names, and what reads all of them."""
    names = tuple(model.model_fields)
    return names, attrgetter(*names) if len(names) > 1 else lambda row: (getattr(row, names[0]),)


def partial(model: type[M], name: str) -> type[M]:
    """`model` with every field optional: what a PATCH takes. Null is refused where `model` refuses it."""
    fields: dict[str, Any] = {
        field: (Annotated[(spec.annotation, *spec.metadata)] if spec.metadata else spec.annotation, None)
        for field, spec in model.model_fields.items()
    }
    return create_model(name, __base__=model, __doc__=f"The fields of a {model.__name__} to be changed.", **fields)


def validate(model: type[M], values: object) -> M:
    """`values` as a model. Raises Invalid for the first thing that is wrong."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _first(error) from None


def given(values: BaseModel) -> dict[str, Any]:
    """The fields that were given, null included."""
    return {name: getattr(values, name) for name in type(values).model_fields if name in values.model_fields_set}


def values_of(model: BaseModel) -> Mapping[str, Any]:
    """All fields, those not given as their defaults."""
    return {name: getattr(model, name) for name in type(model).model_fields}


def _first(error: ValidationError) -> Invalid:
    problem = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(step) for step in problem["loc"]) or None
    match problem["type"]:
        case "extra_forbidden":
            return Invalid("There is no such field.", field=field, code="unknown_field")
        case "missing":
            return Invalid("This field is required.", field=field, code="missing")
        case "value_error":
            return Invalid(str(problem["ctx"]["error"]), field=field)
        case "model_type" | "model_attributes_type" | "dict_type":
            return Invalid("This must be a JSON object.", field=field)
    return Invalid(re.sub(r"^\w+ should", "It must", problem["msg"]).rstrip(".") + ".", field=field)
