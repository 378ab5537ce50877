"""What the totals were as a plan's period began."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0027"
down_revision: str | None = "0026"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

COUNTERS = ("period_input_octets", "period_output_octets", "period_session_time_s")


def upgrade() -> None:
    op.add_column("usage", sa.Column("period_began", sa.Date))
    for counter in COUNTERS:
        op.add_column("usage", sa.Column(counter, sa.BigInteger, nullable=False, server_default="0"))


def downgrade() -> None:
    for column in ("period_began", *COUNTERS):
        op.drop_column("usage", column)
