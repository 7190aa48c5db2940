"""Names and counts of a few concepts at once; a session may look at another annotator than the promoted one."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def _run(part: str) -> None:
    driver = op.get_bind().connection.driver_connection
    if driver is None:
        raise RuntimeError("this migration needs a live connection")
    driver.execute((SQL / part).read_text(encoding="utf-8"))


def upgrade() -> None:
    _run("0006/analysis.sql")
    _run("0003/roles.sql")


def downgrade() -> None:
    _run("0006/downgrade.sql")
