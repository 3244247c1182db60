# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: what was finished is kept whatever kills the writer, and nothing else is mistaken for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from migration_lab.journal.case_result import CaseResult
from migration_lab.journal.journal import SCHEMA, Journal, Record, check_same, read_journal
from migration_lab.model.errors import LabError
from migration_lab.model.verdict import Verdict
from synthetic_run import ROOT

HEADER: dict[str, Any] = {
    "schema": SCHEMA,
    "run": "r",
    "combination": "noo",
    "pair": {"name": "debian", "old": "debian-12", "new": "debian-13", "boundary": "11.3.0"},
    "versions": {"client": {"libvirt": "11.3.0", "python": "3.13.5"}, "source": {"libvirt": "9.0.0"}},
    "profile": {"name": "canonical", "cases": 96},
    "guests": {"x86_64": {"accel": "tcg"}},
    "ledger": "0123456789ab",
    "tap": True,
    "guest_checks": True,
    "workers": 4,
}

# Appends case after case and says each on its standard output once append has returned.
WRITER = """
import sys
from pathlib import Path
from migration_lab.journal.case_result import CaseResult
from migration_lab.journal.journal import Journal
from migration_lab.model.verdict import Verdict
journal = Journal(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    journal.add(CaseResult(number, f"case-{number}", Verdict.PASS, (), reason="x" * 3000))
    print(number, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "noo" / "journal.jsonl"


def write(path: Path, *lines: tuple[str, dict[str, Any]]) -> None:
    """Open the journal, append lines, close it."""
    journal = Journal(path)
    for kind, fields in lines:
        journal.append(kind, **fields)
    journal.close()


def case(name: str, final: bool = True, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "case", {"case": name, "final": final, "verdict": "pass", "checks": [], **fields}


def tear(path: Path, kept: int) -> None:
    """Cut the last line down to its first ``kept`` bytes, as a writer that was killed may leave it."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:kept])


def test_what_is_appended_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("migration_lab.journal.journal.time.time", lambda: 1_764_000_000.12345)
    event = {"event": "end", "complete": True}
    write(path, ("header", HEADER), case("a", reason="Grüße\nund \u2028 mehr"), ("event", event))
    record = read_journal(path)
    when = 1_764_000_000.123
    assert record.path == path and not record.torn
    assert record.header == {"type": "header", "time": when, **HEADER}
    assert record.headers == [record.header]
    result = CaseResult(0, "a", Verdict.PASS, (), reason="Grüße\nund \u2028 mehr", time=when)
    assert record.cases == {"a": result} and record.attempts == [result]
    assert record.events == [{"type": "event", "time": when, **event}]


def test_file_has_one_json_object_a_line(path: Path) -> None:
    write(path, ("header", HEADER), case("a", text="two\nlines"), case("b"))
    text = path.read_text()
    assert text.endswith("}\n")
    assert [json.loads(line)["type"] for line in text.splitlines()] == ["header", "case", "case"]


def test_line_is_in_the_file_when_append_returns(path: Path) -> None:
    journal = Journal(path)
    journal.append("header", **HEADER)
    assert path.read_bytes().endswith(b"}\n")
    journal.add(CaseResult(1, "a", Verdict.PASS, ()))
    assert list(read_journal(path).cases) == ["a"]
    journal.close()


def test_opening_again_adds_to_what_is_there(path: Path) -> None:
    write(path, ("header", HEADER), case("a"))
    write(path, ("header", {**HEADER, "workers": 2}), case("b"))
    record = read_journal(path)
    assert record.header and record.header["workers"] == 4, "the first header is the journal's"
    assert [header["workers"] for header in record.headers] == [4, 2]
    assert list(record.cases) == ["a", "b"]


def test_only_final_attempts_are_results(path: Path) -> None:
    write(path, ("header", HEADER), case("a", final=False, attempt=1), case("b"), case("a", attempt=2), case("c", final=False))
    record = read_journal(path)
    assert set(record.cases) == {"a", "b"}
    assert record.cases["a"].attempt == 2
    assert [(line.case, line.final) for line in record.attempts] == [
        ("a", False), ("b", True), ("a", True), ("c", False),
    ]


@pytest.mark.parametrize("kept", [1, 2, 20, 60, -2])
def test_torn_last_line_is_passed_over_and_said(path: Path, kept: int) -> None:
    write(path, ("header", HEADER), case("a"), case("b", text="x" * 50))
    tear(path, kept)
    record = read_journal(path)
    assert record.torn and list(record.cases) == ["a"]


@pytest.mark.parametrize("kept", [1, 20, -2])
def test_journal_is_gone_on_with_after_a_torn_line(path: Path, kept: int) -> None:
    write(path, ("header", HEADER), case("a"), case("b", text="x" * 50))
    tear(path, kept)
    write(path, ("header", HEADER), case("b"), case("c"))
    record = read_journal(path)
    assert list(record.cases) == ["a", "b", "c"] and len(record.headers) == 2
    assert record.torn, "that a line was lost stays known"


def test_journal_can_be_torn_and_gone_on_with_many_times(path: Path) -> None:
    write(path, ("header", HEADER))
    for number in range(5):
        write(path, case(f"whole-{number}"), case("torn", text="x" * 50))
        tear(path, 40)
    assert list(read_journal(path).cases) == [f"whole-{number}" for number in range(5)]


def test_torn_header_leaves_a_journal_without_one(path: Path) -> None:
    write(path, ("header", HEADER))
    tear(path, 30)
    record = read_journal(path)
    assert record.torn and record.header is None
    check_same(record, HEADER)
    write(path, ("header", HEADER), case("a"))
    record = read_journal(path)
    assert record.header and record.header["combination"] == "noo" and list(record.cases) == ["a"]


def test_empty_journal_has_nothing(path: Path) -> None:
    write(path)
    assert read_journal(path) == Record(path)


@pytest.mark.parametrize(
    ("garbage", "said"),
    [
        (b"garbage", "line 2 of the journal .* is not JSON"),
        (b'{"type":"case","case":"b","fin', "line 2 of the journal .* is not JSON"),
        (b"\x00\xff\xfe", "line 2 of the journal .* is not JSON"),
        (b'{"type":"weather"}', "line 2 of the journal .* has the unknown type 'weather'"),
        (b"{}", "line 2 of the journal .* has the unknown type 'None'"),
    ],
)
def test_garbage_in_the_middle_is_refused_by_line(path: Path, garbage: bytes, said: str) -> None:
    write(path, ("header", HEADER), case("a"))
    header, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(header + garbage + b"\n" + b"".join(rest))
    with pytest.raises(LabError, match=said) as refusal:
        read_journal(path)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("schema", [SCHEMA + 1, 0, None, str(SCHEMA)])
def test_other_schema_is_refused(path: Path, schema: Any) -> None:
    write(path, ("header", {**HEADER, "schema": schema}))
    with pytest.raises(LabError, match=f"has schema {schema}, this lab reads schema {SCHEMA}"):
        read_journal(path)


def test_other_schema_of_a_later_header_is_refused(path: Path) -> None:
    write(path, ("header", HEADER), ("header", {**HEADER, "schema": SCHEMA + 1}))
    with pytest.raises(LabError, match="schema"):
        read_journal(path)


def test_journal_that_is_not_there_cannot_be_read(path: Path) -> None:
    with pytest.raises(LabError, match="cannot be read: No such file or directory"):
        read_journal(path)


@pytest.mark.parametrize("in_the_way", ["", "noo", "noo/journal.jsonl"])
def test_journal_that_cannot_be_written_is_refused(tmp_path: Path, in_the_way: str) -> None:
    """By a regular file in place of one of its folders, or a folder in its own place."""
    obstacle = tmp_path / "run" / in_the_way
    if obstacle.suffix:
        obstacle.mkdir(parents=True)
    else:
        obstacle.parent.mkdir(parents=True, exist_ok=True)
        obstacle.write_text("")
    with pytest.raises(LabError, match=r"cannot be written: .*; choose another results folder"):
        Journal(tmp_path / "run/noo/journal.jsonl")


def test_lines_of_several_threads_stay_whole(path: Path) -> None:
    journal = Journal(path)
    journal.append("header", **HEADER)
    start = threading.Barrier(8)

    def write_many(worker: int) -> None:
        start.wait(5)
        for number in range(50):
            journal.add(CaseResult(number, f"{worker}-{number}", Verdict.PASS, (), reason=str(worker) * 9000))

    threads = [threading.Thread(target=write_many, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    record = read_journal(path)
    assert set(record.cases) == {f"{worker}-{number}" for worker in range(8) for number in range(50)}
    assert len(record.attempts) == 400 and not record.torn
    assert all(set(line.reason) == {line.case[0]} for line in record.attempts)


def test_killed_writer_loses_no_finished_line(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, env={"PYTHONPATH": str(ROOT / "module_utils")}
    ) as writer:
        assert writer.stdout is not None
        for _ in range(100):
            last = int(writer.stdout.readline())
        writer.kill()
        last = max([last, *map(int, writer.stdout.read().split(b"\n")[:-1])])
    assert writer.returncode == -9 and last >= 100
    finished = [f"case-{number}" for number in range(1, last + 1)]
    assert list(read_journal(path).cases)[:last] == finished
    write(path, case("next"))
    resumed = list(read_journal(path).cases)
    assert resumed[:last] == finished and resumed[-1] == "next"


def record_of(header: dict[str, Any]) -> Record:
    return Record(Path("journal.jsonl"), {"type": "header", "time": 1.0, **header})


def test_same_settings_may_go_on() -> None:
    check_same(record_of(HEADER), {**HEADER, "workers": 8, "run": "another", "time_limit": 5})


def test_first_start_has_nothing_to_differ_from() -> None:
    check_same(Record(Path("journal.jsonl")), HEADER)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("combination", "ooo"),
        ("pair", {**HEADER["pair"], "boundary": "10.0.0"}),
        ("versions", {**HEADER["versions"], "source": {"libvirt": "9.0.1"}}),
        ("profile", {"name": "tck", "cases": 96}),
        ("guests", {"x86_64": {"accel": "kvm"}}),
        ("ledger", "ba9876543210"),
        ("tap", False),
        ("guest_checks", False),
    ],
)
def test_setting_that_differs_is_named_with_both_values(field: str, value: Any) -> None:
    with pytest.raises(LabError, match=r"journal\.jsonl cannot be resumed") as refusal:
        check_same(record_of(HEADER), {**HEADER, field: value})
    assert f"{field} was {HEADER[field]!r} and is now {value!r}" in str(refusal.value)
    assert str(refusal.value).count(" and is now ") == 1


def test_all_settings_that_differ_are_named() -> None:
    with pytest.raises(LabError) as refusal:
        check_same(record_of(HEADER), {**HEADER, "combination": "ooo", "guests": {"x86_64": {"xml": "x" * 1000}}})
    assert "combination was 'noo' and is now 'ooo'" in str(refusal.value)
    assert "; guests differs; start a new run" in str(refusal.value), "what is long is only named"


def test_header_survives_the_journal_unchanged(path: Path) -> None:
    """A resumed run compares a header that was written and read with one that was not."""
    write(path, ("header", HEADER))
    check_same(read_journal(path), HEADER)


def test_unexplained_deaths_are_those_without_a_culprit(path: Path) -> None:
    died = {"event": "daemon-death", "detail": "died", "in_flight": ["a"], "logs": []}
    write(
        path,
        ("header", HEADER),
        ("event", {**died, "machine": "source", "culprits": []}),
        ("event", {"event": "agent-replaced", "worker": 1}),
        ("event", {**died, "machine": "target", "culprits": ["a"]}),
        ("event", {"event": "end", "complete": True}),
    )
    record = read_journal(path)
    assert [death.machine for death in record.unexplained_deaths] == ["source"]
    assert len(record.events) == 4


def test_cut_off_attempts_that_no_death_explains_are_an_unexplained_death(path: Path) -> None:
    """A run killed between a daemon's death and the event that tells of it."""
    write(path, ("header", HEADER), case("a", final=False), case("a"))
    (death,) = read_journal(path).unexplained_deaths
    assert death.in_flight == ("a",) and "interrupted" in death.detail


@pytest.mark.parametrize(("held", "unexplained"), [("beside", False), ("death", True), (None, True)])
def test_attempt_that_failed_beside_others_is_no_sign_of_a_death(path: Path, held: str | None, unexplained: bool) -> None:
    """A journal that is older than the field has only attempts that a death cut off."""
    fields = {} if held is None else {"held": held}
    write(path, ("header", HEADER), case("a", final=False, **fields))
    assert bool(read_journal(path).unexplained_deaths) == unexplained
    write(path, case("b", final=False, held="death"), case("b", attempt=2), case("a", attempt=2))
    in_flight = [death.in_flight for death in read_journal(path).unexplained_deaths]
    assert in_flight == [("a", "b") if unexplained else ("b",)]


def test_full_disk_leaves_one_torn_line_and_ends_the_writing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(path)
    journal.append("header", **HEADER)
    write_all = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write_all(descriptor, data[:7]))
    for _ in range(2):
        with pytest.raises(LabError, match=r"cannot be written any more .the disk is full."):
            journal.add(CaseResult(1, "a", Verdict.PASS, ()))
    monkeypatch.undo()
    with pytest.raises(LabError, match="the disk is full"):
        journal.add(CaseResult(2, "b", Verdict.PASS, ()))
    journal.close()
    record = read_journal(path)
    assert record.torn and record.header and not record.attempts


def test_line_that_reads_well_but_does_not_end_counts_neither_before_nor_after_a_resume(path: Path) -> None:
    write(path, ("header", HEADER), case("a"))
    path.write_bytes(path.read_bytes()[:-1])
    assert not read_journal(path).cases
    write(path, ("header", HEADER))
    assert not read_journal(path).cases and read_journal(path).torn
