"""Lists of what is rare: payments by receipt, amount, provider or state, sessions of a router, types of events."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0025"
down_revision: str | None = "0024"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

INDEXES = {
    "payment_tenant_id_receipt_idx": ("payment", ["tenant_id", "receipt"]),
    "payment_tenant_id_amount_kes_idx": ("payment", ["tenant_id", "amount_kes"]),
    "payment_tenant_id_provider_id_idx": ("payment", ["tenant_id", "provider", "id"]),
    "session_history_router_id_started_at_idx": ("session_history", ["router_id", "started_at"]),
}


def upgrade() -> None:
    for name, (table, columns) in INDEXES.items():
        op.create_index(name, table, columns)
    undone = sa.text("state IN ('reversed', 'refunded', 'merged')")
    op.create_index("payment_undone_idx", "payment", ["tenant_id", "state", "id"], postgresql_where=undone)
    by_octet = {"type": "text_pattern_ops"}
    op.create_index("event_tenant_id_type_id_idx", "event", ["tenant_id", "type", "id"], postgresql_ops=by_octet)


def downgrade() -> None:
    op.drop_index("event_tenant_id_type_id_idx", table_name="event")
    op.drop_index("payment_undone_idx", table_name="payment")
    for name, (table, _columns) in INDEXES.items():
        op.drop_index(name, table_name=table)
