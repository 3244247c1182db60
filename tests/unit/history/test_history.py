# SPDX-License-Identifier: GPL-3.0-or-later
"""The history's file: what it keeps, migrations, several writers, and files that cannot be trusted."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from migration_lab.history.entry import RunRecord
from migration_lab.history.file import read_history, write_history
from migration_lab.history.schema import VERSION, migrate, version
from migration_lab.history.view import history_view
from migration_lab.model.errors import LabError
from past_runs import record
from synthetic_run import ROOT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


def kept(path: Path) -> dict[str, RunRecord | None]:
    """All runs of a file that must be sound."""
    history, problem, outdated = read_history(path)
    assert (problem, outdated) == ("", False)
    return {name: history.record(name) for name in history.journal_bytes()}


def database(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def names(path: Path) -> set[str]:
    """Files beside the history, itself included, without the time of one set aside."""
    return {re.sub(r"\.broken-.*", ".broken", entry.name) for entry in path.parent.iterdir()}


def test_runs_are_kept_as_they_are(path: Path) -> None:
    records = [record(1), record(2, {"a": "fail", "b": "not obtained", "c": "known"}), record(3, {}, combination="nnn")]
    assert write_history(path, records) == [path]
    assert kept(path) == {run.name: run for run in records}
    assert names(path) == {"history.sqlite"}, "nothing is left beside it when nobody has it open"
    with closing(database(path)) as disk:
        assert disk.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert version(disk) == VERSION


def test_a_run_is_replaced_as_a_whole_and_only_when_it_differs(path: Path) -> None:
    write_history(path, [record(1, {"a": "fail", "b": "pass"}), record(2)])
    before = path.read_bytes()
    assert write_history(path, [record(2), record(1, {"a": "fail", "b": "pass"})]) == []
    assert path.read_bytes() == before
    assert write_history(path, [record(1, {"c": "pass"}, combination="nnn")]) == [path]
    assert kept(path) == {"night-01": record(1, {"c": "pass"}, combination="nnn"), "night-02": record(2)}


def test_reading_changes_nothing(path: Path) -> None:
    assert read_history(path)[1:] == ("", True)
    assert not path.exists()
    write_history(path, [record(1)])
    before = path.read_bytes()
    history, _, _ = read_history(path)
    history.put(record(2))
    assert path.read_bytes() == before and names(path) == {"history.sqlite"}


def test_an_empty_file_becomes_current(path: Path) -> None:
    path.touch()
    assert read_history(path)[1:] == ("", True)
    assert write_history(path, []) == [path]
    assert kept(path) == {} and names(path) == {"history.sqlite"}


def first_version(path: Path) -> None:
    """A database as version 1 left it, with two runs."""
    with closing(database(path)) as disk:
        disk.execute("PRAGMA journal_mode = WAL")
        migrate(disk, 1)
        disk.execute("INSERT INTO case_names (id, name) VALUES (1, 'a')")
        for number, verdict in ((1, "pass"), (2, "fail")):
            disk.execute(
                "INSERT INTO runs VALUES (?, ?, ?, 1, '{\"name\": \"debian\"}', 'canonical', 'x86_64')",
                (number, f"night-{number:02d}", f"2026-01-0{number}T02:00:00Z"),
            )
            disk.execute("INSERT INTO combinations VALUES ('noo', ?, 1, '{\"pass\": 1}')", (number,))
            disk.execute("INSERT INTO cases VALUES ('noo', 1, ?, ?)", (number, verdict))
        assert version(disk) == 1


def test_a_database_of_version_1_becomes_current_and_keeps_its_runs(path: Path) -> None:
    first_version(path)
    history, problem, outdated = read_history(path)
    assert (problem, outdated) == ("", True)
    with closing(database(path)) as disk:
        assert version(disk) == 1, "reading does not migrate the file"
    assert history.journal_bytes() == {"night-01": None, "night-02": None}, "their journals are to be read again"
    assert history.record("night-01") is None
    view = history_view(history, record(3))
    assert [(past.run, past.verdict, past.changed) for past in view.case("noo", "a")] == [
        ("night-01", "pass", False), ("night-02", "fail", False),
    ], "without conditions on record nothing is called flaky"
    assert write_history(path, [record(2)]) == [path]
    after, problem, outdated = read_history(path)
    assert (problem, outdated) == ("", False)
    assert after.record("night-02") == record(2) and after.journal_bytes()["night-01"] is None
    with closing(database(path)) as disk:
        assert version(disk) == VERSION
        assert disk.execute("SELECT verdict FROM cases WHERE run = 1").fetchall() == [("pass",)]


def test_a_migration_that_fails_leaves_the_database_as_it_was(path: Path) -> None:
    first_version(path)
    with closing(database(path)) as disk:
        disk.execute("CREATE TABLE reasons (id INTEGER)")  # in the way of version 2
        with pytest.raises(sqlite3.OperationalError):
            migrate(disk)
        assert version(disk) == 1
        assert "asked" not in disk.execute("SELECT sql FROM sqlite_master WHERE name = 'runs'").fetchone()[0]


def spoil_garbage(path: Path) -> None:
    path.write_bytes(b"not a database at all\n" * 300)


def spoil_short(path: Path) -> None:
    path.write_bytes(b"short")


def spoil_truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def spoil_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[8192:12288] = b"\xff" * 4096
    path.write_bytes(data)


def spoil_newer(path: Path) -> None:
    with closing(database(path)) as disk:
        disk.execute(f"PRAGMA user_version = {VERSION + 1}")


def spoil_foreign(path: Path) -> None:
    with closing(database(path)) as disk:
        disk.execute("CREATE TABLE somebody_elses (x)")


def spoil_reference(path: Path) -> None:
    with closing(database(path)) as disk:
        disk.execute("DELETE FROM runs")


def spoil_counts(path: Path) -> None:
    with closing(database(path)) as disk:
        disk.execute("UPDATE combinations SET counts = '{'")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_garbage, "file is not a database"), (spoil_short, "file is not a database"), (spoil_truncated, ""),
        (spoil_page, ""), (spoil_newer, f"it has version {VERSION + 1}, this lab knows versions up to {VERSION}"),
        (spoil_foreign, f"its tables are not those of a history of version {VERSION}"),
        (spoil_reference, "it refers to runs, cases or reasons that it does not have"),
        (spoil_counts, "the counts of a combination are not JSON"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_set_aside_as_it_was(path: Path, spoil, words: str) -> None:
    write_history(path, [record(number) for number in range(1, 20)])
    spoil(path)
    broken = path.read_bytes()
    history, problem, outdated = read_history(path)
    assert problem and words in problem and outdated
    assert history.journal_bytes() == {}, "nothing of it is used"
    assert path.read_bytes() == broken
    aside, made = write_history(path, [record(7)])
    assert made == path and kept(path) == {"night-07": record(7)}
    assert aside.name.startswith("history.sqlite.broken-2") and aside.read_bytes() == broken
    assert names(path) == {"history.sqlite", "history.sqlite.broken"}


def test_a_second_broken_file_does_not_replace_the_first(path: Path) -> None:
    spoil_garbage(path)
    first = write_history(path, [])[0]
    spoil_short(path)
    second = write_history(path, [])[0]
    assert first != second and first.read_bytes().startswith(b"not") and second.read_bytes() == b"short"


def test_a_file_that_cannot_be_opened_is_said_and_not_called_broken(path: Path) -> None:
    path.mkdir()
    for action in (lambda: read_history(path), lambda: write_history(path, [record(1)])):
        with pytest.raises(LabError, match=r"history\.sqlite cannot be read or written \(unable to open database file\)"):
            action()
    assert path.is_dir()


def test_a_folder_that_is_not_there(path: Path) -> None:
    with pytest.raises(LabError, match=r"cannot be written \(No such file or directory\)"):
        write_history(path.parent / "none" / path.name, [])


@pytest.fixture(scope="module")
def writers() -> Iterator[list[subprocess.Popen[str]]]:
    """Two processes that write twenty runs each into every file that they are given."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'module_utils'}:{ROOT / 'tests' / 'fakes'}"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "past_runs", str(first), str(first + 20)], env=environment, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for first in (0, 20)
    ]
    yield processes
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("before", ["nothing", "empty", "version 1", "garbage"])
def test_two_writers_at_once_lose_nothing(path: Path, writers: list[subprocess.Popen[str]], before: str) -> None:
    {"nothing": lambda _: None, "empty": Path.touch, "version 1": first_version, "garbage": spoil_garbage}[before](path)

    def tell(line: str, answer: str) -> None:
        for process in writers:
            assert process.stdin
            process.stdin.write(f"{line}\n")
        for process in writers:
            assert process.stdout and process.stdout.readline() == f"{answer}\n", process.communicate()[1]

    tell(str(path), "ready")
    tell("", "done")  # let go at the same moment
    runs = kept(path)
    written = {name: run for name, run in runs.items() if name.startswith("run-")}
    assert written == {f"run-{number}": record(number % 28 + 1, name=f"run-{number}") for number in range(40)}
    assert len(runs) == (42 if before == "version 1" else 40)
    assert len(list(path.parent.glob("*.broken-*"))) == (before == "garbage"), "one of them sets it aside, the other sees that"


def test_a_reader_beside_a_writer_sees_whole_runs(path: Path) -> None:
    write_history(path, [record(1)])
    with closing(database(path)) as disk:
        disk.execute("BEGIN IMMEDIATE")
        disk.execute("DELETE FROM cases")
        assert kept(path) == {"night-01": record(1)}
        disk.execute("ROLLBACK")
