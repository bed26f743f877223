"""Migrations only add: the release before keeps serving while they run, and after a rollback.

What is no longer needed goes in a later release than the one that stops using it, past this
check, with a line in `CONTRACTED` that names that release.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from authserve.database.readiness import MIGRATIONS_FOLDER

CONTRACTED = {
    # No statement needs the two indexes.
    "0013": "0.1",
}
"""Revisions that remove something, each with the first release that does not use it."""

REMOVALS = {
    "alter_column",
    "drop_column",
    "drop_constraint",
    "drop_index",
    "drop_table",
    "rename_table",
    "create_check_constraint",
    "create_foreign_key",
    "create_unique_constraint",
}
"""Changes that may break the release before: removed, renamed, retyped, or newly refused."""

REMOVING_SQL = re.compile(
    r"(?!\s*CREATE).*\b(DROP|RENAME|TRUNCATE|DELETE FROM|(?<!IS )NOT NULL|ADD CONSTRAINT"
    r"|ALTER COLUMN)\b",
    re.DOTALL,
)
"""In capitals, as SQL is written here; a trigger's statements are part of its CREATE."""

DEFAULTED = re.compile(r"ALTER TABLE \w+ ADD COLUMN \w+ \w+(?:\(\d+\))? DEFAULT \S+ NOT NULL\b")
"""Harmless, because the release before leaves the column out and gets the default."""

DROPPED_DEFAULT = re.compile(r"ALTER TABLE (\w+) ALTER COLUMN (\w+) DROP DEFAULT")
"""Harmless if the same migration adds the column: the release before does not use it."""

MIGRATIONS = [
    path
    for path in sorted((MIGRATIONS_FOLDER / "versions").glob("*.py"))
    if path.stem.partition("_")[0] not in CONTRACTED
]


def removals(source: str) -> Iterator[str]:
    """Yield each change that removes something the last release needs, or demands more of it."""
    tree = ast.parse(source)
    for part in tree.body:
        if isinstance(part, ast.FunctionDef) and part.name == "downgrade":
            continue
        for node in ast.walk(part):
            if isinstance(node, ast.Attribute) and node.attr in REMOVALS:
                yield node.attr
            elif isinstance(node, ast.Constant) and removes(str(node.value), source):
                yield str(node.value)


def removes(statement: str, source: str) -> bool:
    """Return True for SQL that removes, but for defaults of columns of the same migration."""
    found = DROPPED_DEFAULT.fullmatch(statement)
    is_own = found is not None and f"ALTER TABLE {found[1]} ADD COLUMN {found[2]} " in source
    is_harmless = is_own or DEFAULTED.match(statement) is not None
    return REMOVING_SQL.match(statement) is not None and not is_harmless


def mandatory_columns(source: str) -> Iterator[str]:
    """Columns of tables that were there before, which the release before would leave out."""
    tree = ast.parse(source)
    columns = {
        node.targets[0].id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for call in ast.walk(tree):
        is_call = isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        if not is_call or call.func.attr != "add_column":
            continue
        column = call.args[-1]
        column = columns.get(column.id, column) if isinstance(column, ast.Name) else column
        assert isinstance(column, ast.Call), ast.unparse(call)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in column.keywords}
        if given.get("nullable") == "False" and "server_default" not in given:
            yield ast.unparse(column)


@pytest.mark.parametrize("path", MIGRATIONS, ids=lambda path: path.stem)
def test_the_release_before_can_keep_serving(path: Path) -> None:
    source = path.read_text()
    assert list(removals(source)) == []
    assert list(mandatory_columns(source)) == []


def test_it_knows_what_removes() -> None:
    source = """
def upgrade():
    op.drop_table("a")
    with op.batch_alter_table("a") as batch:
        batch.alter_column("b", nullable=False)
        batch.add_column(sa.Column("c", sa.Integer(), nullable=False))
    column = sa.Column("d", sa.Integer(), nullable=False)
    op.add_column("a", column)
    op.add_column("a", sa.Column("e", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("a", sa.Column("f", sa.Integer(), nullable=True))
    op.execute(" DROP TABLE a")
    op.execute("ALTER TABLE a ADD COLUMN g int DEFAULT 1")
    op.execute("ALTER TABLE a ALTER COLUMN g DROP DEFAULT")
    op.execute("ALTER TABLE a ALTER COLUMN h DROP DEFAULT")

def downgrade():
    op.drop_column("a", "c")
"""
    assert sorted(removals(source)) == [
        " DROP TABLE a",
        "ALTER TABLE a ALTER COLUMN h DROP DEFAULT",
        "alter_column",
        "drop_table",
    ]
    assert [column[10:13] for column in mandatory_columns(source)] == ["'d'", "'c'"]
