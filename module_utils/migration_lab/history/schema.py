# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of history.sqlite, how an older database becomes a current one, and whether one can be trusted.

``PRAGMA user_version`` is the number of migrations that a database has had. A case's name and a reason are kept once; the
key of ``cases`` is the order in which one case's or one combination's history is asked for.
"""

from __future__ import annotations

import sqlite3

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    # 1: verdicts of runs.
    (
        """CREATE TABLE runs (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, started TEXT NOT NULL, green INTEGER NOT NULL,
            pair TEXT NOT NULL, profile TEXT NOT NULL, guest TEXT NOT NULL)""",
        """CREATE TABLE combinations (
            name TEXT NOT NULL, run INTEGER NOT NULL REFERENCES runs (id), green INTEGER NOT NULL, counts TEXT NOT NULL,
            PRIMARY KEY (name, run)) WITHOUT ROWID""",
        "CREATE TABLE case_names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        """CREATE TABLE cases (
            combination TEXT NOT NULL, name INTEGER NOT NULL REFERENCES case_names (id),
            run INTEGER NOT NULL REFERENCES runs (id), verdict TEXT NOT NULL,
            PRIMARY KEY (combination, name, run)) WITHOUT ROWID""",
        "CREATE INDEX cases_of_run ON cases (run)",
    ),
    # 2: reasons, versions, what a run was asked for, and how large its journals were when they were read. What a run of
    # version 1 lacks is empty, and its journals are read again where they are still there.
    (
        "ALTER TABLE runs ADD COLUMN asked TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE runs ADD COLUMN journal_bytes INTEGER",
        "ALTER TABLE combinations ADD COLUMN versions TEXT NOT NULL DEFAULT '{}'",
        "ALTER TABLE combinations ADD COLUMN conditions TEXT NOT NULL DEFAULT ''",
        "CREATE TABLE reasons (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
        "ALTER TABLE cases ADD COLUMN reason INTEGER REFERENCES reasons (id)",
    ),
)

VERSION = len(MIGRATIONS)

# Columns of JSON in combinations; each came with the version of its place.
_JSON = ("counts", "versions")


def version(connection: sqlite3.Connection) -> int:
    """How many migrations the database has had."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, to: int = VERSION) -> None:
    """Bring a sound database to a version, in one transaction; one that has it already is not touched.

    :param connection: in autocommit mode.
    """
    if version(connection) >= to:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statements in MIGRATIONS[version(connection):to]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {to}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def fault(connection: sqlite3.Connection) -> str:
    """Why a database cannot be trusted, in words; empty when it is sound.

    :raises sqlite3.DatabaseError: when SQLite itself cannot read it.
    """
    found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        return " ".join(str(found).split())
    has = version(connection)
    if has > VERSION:
        return f"it has version {has}, this lab knows versions up to {VERSION}"
    if _tables(connection) != _tables_of(has):
        return f"its tables are not those of a history of version {has}"
    if connection.execute("PRAGMA foreign_key_check").fetchone():
        return "it refers to runs, cases or reasons that it does not have"
    for column in _JSON[:has]:
        if connection.execute(f"SELECT 1 FROM combinations WHERE NOT json_valid({column})").fetchone():
            return f"the {column} of a combination are not JSON"
    return ""


def _tables_of(wanted: int) -> list[tuple[str, str]]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        migrate(connection, wanted)
        return _tables(connection)
    finally:
        connection.close()


def _tables(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()
