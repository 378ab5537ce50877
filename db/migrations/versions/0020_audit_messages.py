"""What an operator does to messages and deliveries is audited."""

from collections.abc import Sequence

from alembic import op

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TABLES = ("sms_message", "webhook_delivery")


def upgrade() -> None:
    for table in TABLES:
        # Workers write them all the time; whoever acts through the API or a command is named.
        op.execute(f"SELECT audit_table('{table}', only_with_actor => true)")


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TRIGGER audit ON {table}")
