"""Events in the order of their commits, and tickets for those who watch them."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql"

_NOTIFY = """
CREATE FUNCTION notify_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('kibali_event', NEW.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER notify AFTER INSERT ON event FOR EACH ROW EXECUTE FUNCTION notify_event();
"""


def upgrade() -> None:
    op.create_table(
        "event_ticket",
        sa.Column("ticket_hash", sa.LargeBinary(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("admin_id", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["admin_id"], ["admin.id"], name=op.f("event_ticket_admin_id_fkey")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("event_ticket_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("ticket_hash", name=op.f("event_ticket_pkey")),
    )
    op.execute((SQL / "0009_events.sql").read_text())


def downgrade() -> None:
    op.execute("DROP FUNCTION use_event_ticket(bytea)")
    op.execute("DROP FUNCTION watcher_role(bigint, bigint)")
    op.drop_table("event_ticket")
    op.execute("REVOKE ALL ON SEQUENCE event_id_seq FROM kibali_api, kibali_platform, kibali_worker")
    op.execute("DROP TRIGGER publish ON event")
    op.execute("DROP FUNCTION publish_event()")
    op.execute(_NOTIFY)
