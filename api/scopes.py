"""What an API token is limited to: `payments:write`, `*:read`. A token without scopes may do what its admin may."""

import re
from collections.abc import Sequence

SCOPE = re.compile(r"(\*|[a-z][a-z-]*):(read|write)", re.ASCII)


def needed(method: str, path: str) -> str:
    """The scope of a request to /api/v1/RESOURCE… or /RESOURCE; a WebSocket reads."""
    resource = path.removeprefix("/api/v1").lstrip("/").partition("/")[0]
    return f"{resource}:{'read' if method in ('GET', 'HEAD') else 'write'}"


def covers(scopes: Sequence[str] | None, wanted: str) -> bool:
    """Whether a token with `scopes` may do what `wanted` is for. Who may write may read."""
    if scopes is None:
        return True
    resource, _, access = wanted.partition(":")
    enough = {"read": ("read", "write"), "write": ("write",)}[access]
    return any(f"{name}:{each}" in scopes for name in (resource, "*") for each in enough)
