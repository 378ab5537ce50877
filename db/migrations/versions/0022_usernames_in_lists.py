"""Lists find a username by an index, behind row-level security too."""

import re
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql"


def upgrade() -> None:
    lower = sa.Computed("lower(username)", persisted=True)
    op.add_column("subscription", sa.Column("username_lower", sa.Text(), lower, nullable=False))
    op.create_index("subscription_tenant_id_username_lower_idx", "subscription", ["tenant_id", "username_lower"])
    op.create_index(
        "subscriber_tenant_id_msisdn_archived_idx",
        "subscriber",
        ["tenant_id", "msisdn"],
        postgresql_where="archived_at IS NOT NULL",
    )
    # A ticket is no change of anything, and each page that watches gets one after the other.
    op.execute("DROP TRIGGER audit ON event_ticket")
    # It follows from the username, whose change is audited.
    op.execute(_audit_change().replace("'nudged_at')", "'nudged_at', 'username_lower')"))


def downgrade() -> None:
    op.execute(_audit_change())
    op.execute("SELECT audit_table('event_ticket')")
    op.drop_index("subscriber_tenant_id_msisdn_archived_idx", "subscriber")
    op.drop_index("subscription_tenant_id_username_lower_idx", "subscription")
    op.drop_column("subscription", "username_lower")


def _audit_change() -> str:
    """As 0005 made it."""
    found = re.search(r"FUNCTION audit_change\(\).*?END \$\$;", (SQL / "0005_audit.sql").read_text(), re.DOTALL)
    assert found is not None
    return f"CREATE OR REPLACE {found[0]}"
