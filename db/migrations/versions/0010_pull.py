"""Payment accounts: until when the provider was asked for all that was paid."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

COLUMNS = ("pull_registered_at", "pulled_until")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("payment_account", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.execute("GRANT UPDATE (pull_registered_at, pulled_until) ON payment_account TO kibali_worker")


def downgrade() -> None:
    for name in COLUMNS:
        op.drop_column("payment_account", name)
