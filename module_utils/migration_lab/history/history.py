# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of runs: a database of what their journals say, and of nothing else."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from contextlib import contextmanager
from typing import Any, Iterable, Iterator, Optional, Sequence

from ..model.verdict import Verdict
from .entry import CombinationRecord, RunRecord


class History:
    """The runs of an open, current database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def journal_bytes(self) -> dict[str, Optional[int]]:
        """For each run the size of the journals that it was read from, in bytes; None of a run of an older version."""
        return dict(self.connection.execute("SELECT name, journal_bytes FROM runs"))

    def newest(self) -> Optional[str]:
        """The run that was started last."""
        found = self.connection.execute("SELECT name FROM runs ORDER BY started DESC, name DESC LIMIT 1").fetchone()
        return found[0] if found else None

    def record(self, name: str) -> Optional[RunRecord]:
        """What the history has of a run; None when it has nothing, or only the part that an older version wrote."""
        found = self._records("name = ?", [name])
        return found[0] if found and found[0].journal_bytes is not None else None

    def up_to(self, record: RunRecord, limit: int, combination: str = "", case: str = "") -> list[RunRecord]:
        """The newest runs of the same pair, profile and guest up to one of them, oldest first.

        :param record: the run; it need not be in the history any more than the others.
        :param limit: how many runs.
        :param combination, case: the only ones to read the results of; empty: all.
        """
        newest = "pair = ? AND profile = ? AND guest = ? AND (started, name) <= (?, ?) ORDER BY started DESC, name DESC LIMIT ?"
        values = [record.pair, record.profile, record.guest, record.started, record.name, limit]
        return self._records(newest, values, combination, case)[::-1]

    def _records(self, which: str, values: Sequence[Any], combination: str = "", case: str = "") -> list[RunRecord]:
        columns = "id, name, started, green, pair, profile, guest, asked, journal_bytes"
        rows = self.connection.execute(f"SELECT {columns} FROM runs WHERE {which}", values).fetchall()
        return [
            RunRecord(name, started, bool(green), pair, profile, guest, asked, size, self._combinations(run, combination, case))
            for run, name, started, green, pair, profile, guest, asked, size in rows
        ]

    def _combinations(self, run: int, combination: str, case: str) -> dict[str, CombinationRecord]:
        """All combinations of a run; the cases of all, or only of one, or only one of them."""
        only = {"combination = ?": combination, "cases.name = (SELECT id FROM case_names WHERE name = ?)": case}
        only = {condition: value for condition, value in only.items() if value}
        cases: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
        for name, selected, verdict, reason in self.connection.execute(
            f"""SELECT combination, case_names.name, verdict, reasons.text FROM cases
            JOIN case_names ON case_names.id = cases.name LEFT JOIN reasons ON reasons.id = cases.reason
            WHERE {" AND ".join(["run = ?", *only])}""",
            (run, *only.values()),
        ):
            cases[name][selected] = (verdict, reason or "")
        return {
            name: CombinationRecord(bool(green), json.loads(counts), json.loads(versions), conditions, cases[name])
            for name, green, counts, versions, conditions in self.connection.execute(
                "SELECT name, green, counts, versions, conditions FROM combinations WHERE run = ?", (run,)
            )
        }

    def put(self, record: RunRecord) -> bool:
        """Record a run, replacing what was recorded of it, in one transaction.

        :returns: whether anything was changed.
        """
        with self._transaction():
            if self.record(record.name) == record:
                return False
            self._remove(record.name)
            self._insert(record)
            return True

    def comparable(self, record: RunRecord) -> list[str]:
        """Names of earlier runs of the same pair, profile, guest, combinations and cases that have any result.

        Complete ones, which have a result of every case of every combination, come before the others; of each the newest first.
        """
        return [name for (name,) in self.connection.execute(
            """SELECT name FROM runs WHERE pair = ? AND profile = ? AND guest = ? AND asked = ? AND (started, name) < (?, ?)
            AND EXISTS (SELECT 1 FROM cases WHERE run = runs.id AND verdict != ?)
            ORDER BY EXISTS (SELECT 1 FROM cases WHERE run = runs.id AND verdict = ?), started DESC, name DESC""",
            (record.pair, record.profile, record.guest, record.asked, record.started, record.name, Verdict.NOT_OBTAINED.value,
             Verdict.NOT_OBTAINED.value),
        )]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def _remove(self, name: str) -> None:
        for table in ("cases", "combinations"):
            self.connection.execute(f"DELETE FROM {table} WHERE run = (SELECT id FROM runs WHERE name = ?)", (name,))
        self.connection.execute("DELETE FROM runs WHERE name = ?", (name,))

    def _insert(self, record: RunRecord) -> None:
        cursor = self.connection.execute(
            """INSERT INTO runs (name, started, green, pair, profile, guest, asked, journal_bytes)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
            (record.name, record.started, record.green, record.pair, record.profile, record.guest, record.asked,
             record.journal_bytes),
        )
        run = cursor.lastrowid
        self.connection.executemany(
            "INSERT INTO combinations (name, run, green, counts, versions, conditions) VALUES (?, ?, ?, ?, ?, ?)",
            [(name, run, combination.green, json.dumps(combination.counts), json.dumps(combination.versions),
              combination.conditions) for name, combination in record.combinations.items()],
        )
        cases = [
            (name, case, verdict, reason)
            for name, combination in record.combinations.items()
            for case, (verdict, reason) in combination.cases.items()
        ]
        names = self._ids("case_names", "name", (case for _, case, _, _ in cases))
        reasons = self._ids("reasons", "text", (reason for *_, reason in cases if reason))
        self.connection.executemany(
            "INSERT INTO cases (combination, name, run, verdict, reason) VALUES (?, ?, ?, ?, ?)",
            [(name, names[case], run, verdict, reasons.get(reason)) for name, case, verdict, reason in cases],
        )

    def _ids(self, table: str, column: str, texts: Iterable[str]) -> dict[str, int]:
        """The number of each text in a table of texts, where the new ones are added."""
        wanted = dict.fromkeys(texts)
        self.connection.executemany(
            f"INSERT INTO {table} ({column}) VALUES (?) ON CONFLICT DO NOTHING", [(text,) for text in wanted]
        )
        find = f"SELECT id FROM {table} WHERE {column} = ?"
        return {text: self.connection.execute(find, (text,)).fetchone()[0] for text in wanted}
