"""Who may do what: each route is declared with one of these rights (docs/api.md has them as a table)."""


class Right(frozenset[str]):
    """The roles that have it.

    `in_no_tenant`: the platform's admins have it too, without choosing a tenant. `of_oneself`: they can not choose one.
    `at_first`: it is there even before a password that somebody else chose was changed.
    """

    in_no_tenant: bool
    of_oneself: bool
    at_first: bool

    def __new__(
        cls, *roles: str, in_no_tenant: bool = False, of_oneself: bool = False, at_first: bool = False
    ) -> "Right":
        right = super().__new__(cls, roles)
        right.in_no_tenant, right.of_oneself, right.at_first = in_no_tenant, of_oneself, at_first
        return right


# In a tenant that they choose, the platform's admins have the rights of an owner.
OWNERS = Right("owner")
"""Who may say where the money goes, and who the admins are."""
WRITERS = Right("owner", "manager")
"""Who runs the business."""
READERS = Right("owner", "manager", "support", "read-only")
CASHIERS = Right("owner", "manager", "support", "read-only", "cashier")
"""Who may look at customers."""
HELPERS = Right("owner", "manager", "support")
"""Who may do something for a customer who is online."""
TELLERS = Right("owner", "manager", "cashier")
"""Who may take money."""
SELLERS = Right("owner", "manager", "cashier", "support")
"""Who may ask a customer to pay, or redeem what they bought."""

_ALL = ("owner", "manager", "support", "read-only", "cashier")
ONESELF = Right(*_ALL, in_no_tenant=True, of_oneself=True)
"""What is about the admin who asks."""
AT_FIRST = Right(*_ALL, in_no_tenant=True, of_oneself=True, at_first=True)
HEADS = Right("owner", in_no_tenant=True)
"""Who says who the admins are: an owner in the tenant, the platform's admins among themselves."""
ANYBODY = Right(*_ALL, in_no_tenant=True)
"""Who may look at a job."""
WATCHERS = Right("owner", "manager", "support", "read-only", in_no_tenant=True)
"""Who may look at the queues: each at its own jobs, the platform's admins at those of all."""
MENDERS = Right("owner", "manager", in_no_tenant=True)
"""Who may have a job tried again, or cancelled."""
AUDITORS = Right("owner", "manager", in_no_tenant=True)
PLATFORM = Right(in_no_tenant=True)
"""What the platform's admins alone may do."""
