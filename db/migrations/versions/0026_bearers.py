"""Who bears a token, asked with what the bearer wants to read."""

import re
from collections.abc import Sequence
from pathlib import Path

from alembic import op

revision: str = "0026"
down_revision: str | None = "0025"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql"


def upgrade() -> None:
    op.execute((SQL / "0026_bearers.sql").read_text("utf-8"))


def downgrade() -> None:
    before = re.search(
        r"CREATE (FUNCTION authenticate_token.*?END \$\$;)", (SQL / "0011_logins.sql").read_text("utf-8"), re.DOTALL
    )
    assert before is not None
    op.execute(f"CREATE OR REPLACE {before[1]}")
    op.execute("DROP FUNCTION bearer_of_token(bytea)")
