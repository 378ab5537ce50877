"""What was sent to a session's router and is not known to have been taken."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0023"
down_revision: str | None = "0022"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("session_held", sa.Column("unconfirmed", JSONB(), nullable=True))
    op.create_index(
        "session_held_router_id_listed_address_idx",
        "session_held",
        ["router_id", "listed_address"],
        postgresql_where="listed IS NOT NULL",
    )


def downgrade() -> None:
    op.drop_index("session_held_router_id_listed_address_idx", table_name="session_held")
    op.drop_column("session_held", "unconfirmed")
