"""Who may do what: each route is declared with one of these rights (docs/api.md has them as a table)."""


class Right(frozenset[str]):
    """The roles that have it. `in_no_tenant`: the platform's admins have it too, without choosing a tenant."""

    in_no_tenant: bool

    def __new__(cls, *roles: str, in_no_tenant: bool = False) -> "Right":
        right = super().__new__(cls, roles)
        right.in_no_tenant = in_no_tenant
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

EVERYBODY = Right("owner", "manager", "support", "read-only", "cashier", in_no_tenant=True)
"""What is about the admin who asks."""
HEADS = Right("owner", in_no_tenant=True)
"""Who says who the admins are: an owner in the tenant, the platform's admins among themselves."""
AUDITORS = Right("owner", "manager", in_no_tenant=True)
PLATFORM = Right(in_no_tenant=True)
"""What the platform's admins alone may do."""
