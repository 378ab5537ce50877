"""What a route may answer, declared beside its handler: a model for each status. docs and tests are made of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Text:
    """An answer that is no JSON, or a body that is none: `Text("text/csv")`."""

    media_type: str


Content = type[BaseModel] | Text | tuple[Text, ...] | None
"""None: an answer without a body. Several: as the query asks for."""
Answers = Mapping[int, Content]
"""By status, success alone: what is refused has one shape everywhere."""
