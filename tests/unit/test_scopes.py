"""What an API token is limited to."""

import pytest

from api import scopes


@pytest.mark.parametrize(
    ("held", "wanted", "may"),
    [
        (None, "plans:write", True),
        ((), "plans:read", False),
        (("plans:read",), "plans:read", True),
        (("plans:read",), "plans:write", False),
        (("plans:write",), "plans:read", True),
        (("plans:write",), "plan:write", False),
        (("*:read",), "vouchers:read", True),
        (("*:read",), "vouchers:write", False),
        (("*:write",), "vouchers:write", True),
        (("payments:write", "subscribers:read"), "subscribers:read", True),
        (("payments:write", "subscribers:read"), "subscribers:write", False),
        (("payments:write",), "payment-accounts:read", False),
        (("plans:read",), "*:read", False),
        (("*:read",), "*:read", True),
    ],
)
def test_who_may_write_may_read_and_nothing_reaches_further(
    held: tuple[str, ...] | None, wanted: str, may: bool
) -> None:
    assert scopes.covers(held, wanted) is may


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/api/v1/plans", "plans:read"),
        ("HEAD", "/api/v1/plans/1", "plans:read"),
        ("POST", "/api/v1/subscriptions/1/suspend", "subscriptions:write"),
        ("DELETE", "/api/v1/payment-accounts/1", "payment-accounts:write"),
        ("PATCH", "/api/v1/plans/1", "plans:write"),
        ("GET", "/metrics", "metrics:read"),
    ],
)
def test_the_first_part_of_the_path_is_the_resource(method: str, path: str, needed: str) -> None:
    assert scopes.needed(method, path) == needed
