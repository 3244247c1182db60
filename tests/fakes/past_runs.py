# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes records of runs for tests of the history, without results folders; and the writer that some tests run beside others."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Mapping, Optional

from migration_lab.history.entry import CombinationRecord, RunRecord
from migration_lab.history.file import write_history
from migration_lab.model.verdict import Verdict

VERSIONS = {"client": {"libvirt": "11.3.0"}, "source": {"libvirt": "9.0.0", "hypervisor": "7.2.22"}}


def record(
    number: int, verdicts: Optional[Mapping[str, str]] = None, conditions: str = "same", combination: str = "noo", name: str = "",
    pair: str = "debian", asked: str = "all",
) -> RunRecord:
    """The run of a night.

    :param number: of the night; the later, the higher.
    :param verdicts: of cases; every one that is no pass has a reason.
    """
    verdicts = {"a": "pass", "b": "pass"} if verdicts is None else verdicts
    counts = {verdict.key: list(verdicts.values()).count(verdict.value) for verdict in Verdict}
    cases = {case: (verdict, "" if verdict == "pass" else f"why {case} is {verdict}") for case, verdict in verdicts.items()}
    green = not set(verdicts.values()) - {"pass", "known", "skip"}
    return RunRecord(
        name or f"night-{number:02d}", f"2026-01-{number:02d}T02:00:00Z", green, json.dumps({"name": pair}), "canonical",
        "x86_64", asked, 1000 + number, {combination: CombinationRecord(green, counts, VERSIONS, conditions, cases)},
    )


def main() -> None:
    """For each path that is given on a line: say that it is ready, wait to be let go, then write runs of the given numbers."""
    first, last = int(sys.argv[1]), int(sys.argv[2])
    while path := sys.stdin.readline():
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        for number in range(first, last):
            write_history(Path(path.rstrip("\n")), [record(number % 28 + 1, name=f"run-{number}")])
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
