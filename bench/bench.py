# SPDX-License-Identifier: GPL-3.0-or-later
"""Speed and memory of the lab on this machine, as JSON on standard output; what it does meanwhile goes to standard error.

    make bench                            all of it, about 40 minutes on 2 cores
    BENCH=matrix,provision make bench     some parts; the others are checks, between, full, recovery, report,
                                          recovery_report and history
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable

ROOT = Path(__file__).resolve().parent.parent
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")


def play(playbook: str, *extra: str, check: bool = True) -> float:
    """Run a playbook and return its wall time in seconds; its output goes to standard error. ``check``: it must succeed."""
    command = [str(PLAYBOOK), f"playbooks/{playbook}.yml"]
    for setting in extra:
        command += ["-e", setting]
    started = time.monotonic()
    subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=check)
    return round(time.monotonic() - started, 1)


class MemoryWatch(threading.Thread):
    """Samples how much memory is used above what was used at the start, in MiB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._ended = threading.Event()
        self._before = self._used()
        self.peak = 0

    def run(self) -> None:
        while not self._ended.wait(0.5):
            self.peak = max(self.peak, self._used() - self._before)

    def stop(self) -> int:
        """End the watch and return the peak in MiB."""
        self._ended.set()
        self.join()
        return self.peak

    @staticmethod
    def _used() -> int:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        return (int(lines["MemTotal"].split()[0]) - int(lines["MemAvailable"].split()[0])) // 1024


def journal_lines(folder: Path) -> list[dict[str, Any]]:
    """What was journalled of a combination."""
    from migration_lab.journal.files import journal_paths

    return [json.loads(line) for journal in journal_paths(folder) for line in journal.read_text().splitlines()]


def cases_seconds(root: Path, name: str, *settings: str) -> dict[str, Any]:
    """Run the 24 cases without flags on nnn and return their wall time, time per phase, and the lab's own share."""
    run = f"bench-{name}"
    play("run", "combination=nnn", "cases=*/none", f"results_root={root}", f"run={run}", *settings)
    lines = journal_lines(root / run / "nnn")
    cases = [line for line in lines if line["type"] == "case"]
    end = next(line for line in lines if line.get("event") == "end")
    return {
        "seconds": end["seconds"],
        "workers": end["workers"],
        "cases": len(cases),
        "case_mean": round(sum(case["seconds"] for case in cases) / len(cases), 3),
        "migrate_mean": round(sum(case["migration"]["seconds"] for case in cases) / len(cases), 3),
        "own_share": round(1 - end["call_seconds"] / (end["seconds"] * end["workers"]), 4),
    }


def bench_matrix(root: Path) -> dict[str, Any]:
    """The same cases on the same daemons, one after another and with the default workers, for each guest."""
    result: dict[str, Any] = {}
    for guest in ("x86_64", "aarch64", "s390x"):
        serial, parallel = (
            cases_seconds(root, f"{guest}-{workers}", f"guest={guest}", f"workers={workers}") for workers in ("1", "auto")
        )
        faster = round(serial["seconds"] / parallel["seconds"], 2)
        result[guest] = {"serial": serial, "parallel": parallel, "times_faster": faster}
    return result


def bench_checks(root: Path) -> dict[str, Any]:
    """What relay and guest checks cost: the same cases without them, with the relay, with both, one at a time.

    ``seconds_per_case`` is wall time per case, which is what they add to a run; the runs are interleaved, twice each.
    ``own_seconds_per_case`` is the part of it outside libvirt's calls, which varies less on a machine that has other work.
    """
    ways = {
        "neither": ("relay=false", "guest_checks=false"), "relay": ("relay=true", "guest_checks=false"),
        "both": ("relay=true", "guest_checks=true"),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    own: dict[str, list[float]] = {way: [] for way in ways}
    for number in (1, 2):
        for way, settings in ways.items():
            done = cases_seconds(root, f"{way}-{number}", "workers=1", *settings)
            seconds[way].append(round(done["seconds"] / done["cases"], 4))
            own[way].append(round(done["own_share"] * done["seconds"] / done["cases"], 4))
    least = {way: min(values) for way, values in seconds.items()}
    return {
        "seconds_per_case": seconds,
        "own_seconds_per_case": own,
        "relay_share": round(least["relay"] / least["neither"] - 1, 4),
        "guest_checks_share": round(least["both"] / least["relay"] - 1, 4),
        "both_share": round(least["both"] / least["neither"] - 1, 4),
    }


def bench_between(root: Path) -> dict[str, Any]:
    """Seconds from the last case of a combination to the first line of the next one's journal, with warm images."""
    run = root / "bench-between"
    only = "cases=normal/transient-running/none"
    play("full_matrix", "combinations=ooo,noo,nno", only, f"results_root={root}", f"run={run.name}")
    lines = [line for folder in run.glob("[on][on][on]") for line in journal_lines(folder)]
    ends = sorted(line["time"] for line in lines if line.get("event") == "end")
    starts = sorted(line["time"] for line in lines if line["type"] == "header")
    return {"seconds": [round(start - end, 1) for end, start in zip(ends, starts[1:], strict=False)]}


def bench_provision(_: Path) -> dict[str, Any]:
    """Re-provisioning with warm images: one machine changes, all three change, nothing changes."""
    play("provision", "combination=ooo")
    return {
        "one_machine": play("provision", "combination=noo"),
        "three_machines": play("provision", "combination=onn"),
        "nothing": play("provision", "combination=onn"),
    }


def bench_full(root: Path) -> dict[str, Any]:
    """The default full run with everything set up, and the memory it takes."""
    watch = MemoryWatch()
    watch.start()
    seconds = play("full_matrix", f"results_root={root}", "run=bench-full")
    return {"seconds": seconds, "peak_mib": watch.stop()}


def bench_report(root: Path) -> dict[str, Any]:
    """The page and the picture of a full run in which every case passes, and of one in which every case fails."""
    from migration_lab.report.page import page_text
    from migration_lab.report.picture import picture_text
    from migration_lab.results.run import read_run
    from synthetic_run import CASES, STEPS, SyntheticRun, refused

    result = {}
    for name, spoilt in (("all_pass", {}), ("all_fail", {case.id: refused("no reply (code 1, domain 10)") for case in CASES})):
        lab = SyntheticRun(root / f"report-{name}")
        for combination in lab.data["combinations"]:
            lab.complete(combination, spoilt, steps=STEPS * 3)
        run = read_run(lab.folder)
        page, picture = partial(page_text, run, ROOT / "roles/report/templates"), partial(picture_text, run)
        result[name] = {
            "page_seconds": seconds_of(page), "page_bytes": len(page().encode()),
            "picture_seconds": seconds_of(picture), "picture_bytes": len(picture().encode()),
        }
    return result


def bench_recovery(root: Path) -> dict[str, Any]:
    """A third of selection ``pairwise`` on nnn, with 1, 2, 4 and 8 cells side by side: wall time, and cases a minute."""
    result = {}
    for cells in (1, 2, 4, 8):
        run = root / f"bench-recovery-{cells}"
        # That some of them are red is not measured here.
        play(
            "recovery", "combinations=nnn", "guest=s390x", "selection=pairwise", "cases=p2p/*", f"recovery_cells={cells}",
            f"results_root={root}", f"run={run.name}", check=False,
        )
        lines = journal_lines(run / "nnn")
        cases = [line for line in lines if line["type"] == "case"]
        started = min(line["time"] for line in lines if line["type"] == "header")
        seconds = max(line["time"] for line in cases) - started
        result[str(cells)] = {
            "cases": len(cases), "seconds": round(seconds, 1), "cases_a_minute": round(60 * len(cases) / seconds, 1),
            "case_mean": round(sum(line["seconds"] for line in cases) / len(cases), 2),
        }
    return result


def bench_recovery_report(root: Path) -> dict[str, Any]:
    """The pages of a recovery run with every point, fault and scenario of the 8 combinations."""
    from migration_lab.model.combination import COMBINATIONS
    from migration_lab.report.recovery_page import PAGE_FILE, recovery_pages
    from migration_lab.results.recovery import read_recovery
    from migration_lab.results.run import read_run
    from synthetic_recovery import SyntheticRecovery

    lab = SyntheticRecovery(root / "recovery-report", COMBINATIONS, "full")
    for combination in COMBINATIONS:
        lab.carry_out(combination)
    started = time.monotonic()
    recovery = read_recovery(read_run(lab.folder))
    read = time.monotonic()
    pages = recovery_pages(recovery, ROOT / "roles/report/templates")
    return {
        "cases": sum(len(cases) for cases in lab.chosen.values()), "read_seconds": round(read - started, 1),
        "pages_seconds": round(time.monotonic() - read, 1), "index_bytes": len(pages[PAGE_FILE].encode()),
        "all_bytes": sum(len(page.encode()) for page in pages.values()),
    }


def bench_history(root: Path) -> dict[str, Any]:
    """100 synthetic runs of 768 cases: what a report costs with and without a history of the others, and what queries take."""
    from migration_lab.history.file import read_history
    from migration_lab.history.text import history_text
    from migration_lab.history.update import plan_update
    from migration_lab.journal.files import HISTORY_FILE
    from migration_lab.report.report import make_report
    from synthetic_run import CASES, SyntheticRun, wrong_state

    folder, templates = root / "history", ROOT / "roles" / "report" / "templates"
    model = SyntheticRun(root / "model")
    for name in model.data["combinations"]:
        model.complete(name, {CASES[40].id: wrong_state, CASES[41].id: wrong_state})
    for number in range(100):
        run = folder / f"night-{number:03d}"
        shutil.copytree(model.folder, run)
        started = f"2026-{number // 28 + 1:02d}-{number % 28 + 1:02d}T02:00:00Z"
        (run / "run.json").write_text(json.dumps({**model.data, "run": run.name, "started": started}))
        if number % 3 == 0:  # the pattern of a flaky case
            journal = run / "noo" / "journal.jsonl"
            journal.write_text(journal.read_text().replace('"verdict":"fail"', '"verdict":"pass"', 1))
    last, file = folder / "night-099", folder / HISTORY_FILE

    def report() -> None:
        make_report(last, templates, base="last", history=file).write()

    result: dict[str, Any] = {"first_report_seconds": seconds_of(report), "report_seconds": seconds_of(report)}
    result["rebuild_seconds"] = seconds_of(lambda: plan_update(folder, again=True).write())
    result["mib"] = round(file.stat().st_size / 2**20, 2)
    result["open_seconds"] = seconds_of(partial(read_history, file))
    history = read_history(file)[0]
    for what, of in (("combination", "noo"), ("case", f"noo/{CASES[40].id}")):
        result[f"{what}_query_seconds"] = seconds_of(partial(history_text, history, last.name, of))
    return result


def seconds_of(action: Callable[[], object]) -> float:
    """Seconds that something takes."""
    started = time.monotonic()
    action()
    return round(time.monotonic() - started, 4)


def main() -> None:
    """Run the chosen parts and print the result."""
    # What is measured without a playbook, and what makes runs for it.
    sys.path[:0] = [str(ROOT / "module_utils"), str(ROOT / "tests" / "fakes")]
    parts = {
        "matrix": bench_matrix, "checks": bench_checks, "provision": bench_provision, "between": bench_between,
        "full": bench_full, "recovery": bench_recovery, "report": bench_report, "recovery_report": bench_recovery_report,
        "history": bench_history,
    }
    chosen = os.environ.get("BENCH", ",".join(parts)).split(",")
    unknown = [name for name in chosen if name not in parts]
    if unknown:
        sys.exit(f"there is no benchmark '{unknown[0]}'; BENCH takes {', '.join(parts)}")
    result: dict[str, Any] = {"cores": len(os.sched_getaffinity(0))}
    with tempfile.TemporaryDirectory(prefix="migration-lab-bench-") as folder:
        for name in chosen:
            result[name] = parts[name](Path(folder))
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
