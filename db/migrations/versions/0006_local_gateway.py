"""Payment accounts at a gateway on this machine, which the API may use and not make."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql"


def upgrade() -> None:
    op.add_column("payment_account", sa.Column("local_url", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("payment_account_local_url_check"),
        "payment_account",
        r"local_url ~ '^http://127\.0\.0\.1:[0-9]+$'",
    )
    op.execute((SQL / "0006_security.sql").read_text())


def downgrade() -> None:
    op.execute("DROP POLICY not_local ON payment_account")
    op.execute("GRANT UPDATE ON payment_account TO kibali_api")
    op.drop_column("payment_account", "local_url")
