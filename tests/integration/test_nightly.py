# SPDX-License-Identifier: GPL-3.0-or-later
"""Nights of the lab, on one small combination: newer packages, interrupted nights, a full disk, and who is notified."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from default_catalogue import RELEASES
from lab import CELL, Lab, kill_all, wait_for, wait_for_cases
from migration_lab.journal.case_result import CaseResult
from migration_lab.journal.journal import read_journal
from migration_lab.releases.packages import STATUS, installed_packages
from migration_lab.releases.recipe import release_id, with_features
from refusals import Attempt, include_role, refusals

RELEASE = "nightly-12"
AGED = "libvirt-daemon"


class Receiver:
    """A webhook on loopback."""

    def __init__(self) -> None:
        self.answers: list[int] = []  # statuses to come; then 200
        self.posted: list[dict[str, Any]] = []  # what was taken
        self.refused = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.answers.pop(0) if receiver.answers else 200
                if status == 200:
                    receiver.posted.append(json.loads(body))
                else:
                    receiver.refused += 1
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keeps the address out of the test's output."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/hooks/s3cret-token"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def podman(*words: str) -> str:
    return subprocess.check_output(["podman", *words], text=True).strip()


@pytest.fixture(scope="module")
def image(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image of a release of the tests' own, made from debian-12's: its package libvirt-daemon says that it is older."""
    played = lab.play("refresh", pair="emulated-v2", refresh_ask=False)  # builds debian-12's where it is not there
    assert played.status == 0, played.output
    # The images that x86_64 guests get.
    based = release_id("debian-12", with_features(RELEASES["debian-12"], ["x86_64"]))
    base = f"localhost/migration-lab/debian-12:{based}"
    identity = release_id(RELEASE, with_features(release(), ["x86_64"]))
    name = f"localhost/migration-lab/{RELEASE}:{identity}"
    status = tmp_path_factory.mktemp("aged") / "status"
    container = podman("create", "--network", "none", base, "true")
    try:
        podman("cp", f"{container}:/{STATUS}", str(status))
        version = installed_packages(status.read_text())[AGED]
        before, package, after = status.read_text().partition(f"Package: {AGED}\n")
        status.write_text(before + package + after.replace(f"Version: {version}\n", f"Version: {version}~aged\n", 1))
        podman("cp", str(status), f"{container}:/{STATUS}")
        podman("commit", "--quiet", "--change", f"LABEL migration-lab.release={RELEASE}", container, name)
    finally:
        podman("rm", container)
    cache = Path("/var/lib/migration-lab/cache", identity)  # as building the image would have made it
    cache.mkdir(mode=0o700, exist_ok=True)
    yield name
    assert lab.play("destroy").status == 0
    podman("rmi", name)
    shutil.rmtree(cache)


def release() -> dict[str, Any]:
    return {**RELEASES["debian-12"], "mirror": "", "keyring": ""}


def settings(receiver: Receiver, **further: Any) -> dict[str, Any]:
    """Sixteen cases on debian-12 alone, one after the other, so that a night lasts long enough to be cut off."""
    return {
        "own_releases": {RELEASE: release()},
        "own_pairs": {"nightly": {"old": RELEASE, "new": RELEASE, "boundary": "0.9.2", "ceiling": "0.9.1"}},
        "pair": "nightly", "combination": "nnn", "cases": "p2p/*running*", "accel": "tcg", "workers": 2,
        "nightly_min_free": 0, "nightly_webhook": receiver.address, "nightly_notify_wait": 0.1, **further,
    }


def only_run(root: Path) -> Path:
    (path,) = root.glob("*/run.json")
    return path.parent


def state(root: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((root / "nightly.json").read_text())
    return data


def test_wrong_settings_are_refused_before_anything_is_changed(tmp_path: Path) -> None:
    results = tmp_path / "results"
    wrong: dict[str, dict[str, Any]] = {
        "number": {"nightly_keep_days": -1}, "run": {"run": "mine"}, "mail": {"nightly_mail_to": ["a@b"]},
        "secret": {"nightly_webhook_file": "/proc/version"},
    }
    night = include_role("nightly", "night")
    said = refusals(tmp_path, {
        name: Attempt([night], {"results_root": str(results), **setting}) for name, setting in wrong.items()
    })
    assert "nightly_keep_days is -1; it must be at least 0" in said["number"]
    assert "a night chooses by itself which run it resumes" in said["run"]
    assert "nightly_mail_to is set and nightly_mail_host is not" in said["mail"]
    assert "others can read /proc/version (mode 0444); make it 0600" in said["secret"]
    assert not results.exists()


def test_a_refused_night_tells_the_user_and_keeps_the_secret(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "results")
    played = lab.play("nightly", nightly_webhook="hooks/s3cret-token")
    assert played.status != 0
    assert "nightly_webhook is not the address of a webhook" in played.message(), played.output
    assert "s3cret-token" not in played.output
    assert not lab.results.exists()


def test_nights_resume_an_interrupted_one_and_report_what_is_newer(image: str, receiver: Receiver, tmp_path: Path) -> None:
    lab = Lab(tmp_path / "results")
    process = lab.start("nightly", **settings(receiver, nightly_refresh=False))
    run = started_run(lab, process)
    journal = run / "nnn" / f"journal-{CELL}.jsonl"
    wait_for_cases(journal, 2, process)

    refused = lab.play("nightly", **settings(receiver))
    assert refused.status != 0
    assert f"another night is active on {lab.results}: ansible-playbook process {process.pid} holds" in refused.message()
    kill_all(process)
    kept = [result.case for result in whole_cases(journal)]
    assert 2 <= len(kept) < 16
    assert state(lab.results)["ended"] is False

    # The next night resumes it. It is the first that ends, it is green, and so nobody is notified.
    second = lab.play("nightly", **settings(receiver, nightly_refresh=False))
    assert second.status == 0, second.output
    assert f"the night resumes run {run.name}, which was interrupted" in second.message()
    assert only_run(lab.results) == run
    results = [result.case for result in whole_cases(journal)]
    assert results[: len(kept)] == kept and len(results) == 16
    assert "nothing changed, nobody was notified" in second.message()
    assert json.loads((run / "nightly.json").read_text())["resumed"] is True

    # Newer packages: the image is built again, and people are notified, at the third attempt.
    receiver.answers = [503, 500]
    aged = podman("inspect", "--type", "image", "--format", "{{.Id}}", image)
    third = lab.play("nightly", **settings(receiver))
    assert third.status == 0, third.output
    newer = podman("inspect", "--type", "image", "--format", "{{.Id}}", image)
    assert newer != aged
    assert subprocess.run(["podman", "image", "exists", aged], check=False).returncode == 1, "the old image is gone"
    # The suite may have got newer packages of its own since the image was built.
    packages = state(lab.results)["packages"]
    (package,) = [package for package in packages if package["name"] == AGED]
    assert package["release"] == RELEASE and package["old"] == f"{package['new']}~aged"
    assert f"{RELEASE}: {AGED} {package['old']} -> {package['new']}" in third.message()
    assert "notified by webhook in 3 attempts" in third.message()
    assert receiver.refused == 2
    (posted,) = receiver.posted
    number = "1 package newer" if len(packages) == 1 else f"{len(packages)} packages newer"
    assert posted["packages"] == packages and posted["green"] is True and number in posted["text"]
    assert json.loads((Path(posted["folder"]) / "nightly.json").read_text())["packages"] == packages
    assert "s3cret-token" not in third.output
    machine = podman("inspect", "--format", "{{.Image}}", "mlab-t-source-new")
    assert machine == newer, "the machines are made of the new image"

    # And there is nothing newer than that; a night in which nothing changed was the second.
    again = lab.play("refresh", **settings(receiver))
    assert again.status == 0, again.output
    assert f"{RELEASE}: nothing is newer" in again.message()
    assert podman("inspect", "--type", "image", "--format", "{{.Id}}", image) == newer


def test_a_full_disk_ends_the_night_and_the_next_one_resumes_it(image: str, receiver: Receiver, tmp_path: Path) -> None:
    lab = Lab(tmp_path / "results")
    lab.results.mkdir()
    subprocess.check_call(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(lab.results)])
    try:
        receiver.posted.clear()
        refused = lab.play("nightly", **settings(receiver, nightly_refresh=False, nightly_min_free=0.5))
        assert refused.status != 0
        assert f"GiB are free in the results folder {lab.results}, a night needs 0.5; make room" in refused.message()
        assert [posted["failed"] for posted in receiver.posted] == [True]

        receiver.posted.clear()
        process = lab.start("nightly", **settings(receiver, nightly_refresh=False))
        run = started_run(lab, process)
        journal = run / "nnn" / f"journal-{CELL}.jsonl"
        wait_for_cases(journal, 2, process)
        filler = lab.results / "filler"
        fill(filler)
        output, _ = process.communicate(timeout=300)
        assert process.returncode != 0
        kept = [result.case for result in whole_cases(journal)]
        assert 2 <= len(kept) < 16, output
        (posted,) = receiver.posted
        assert posted["failed"] is True and posted["green"] is False
        assert posted["counts"]["not_obtained"] == 16 - len(kept), posted
        assert "No space left on device" in " ".join(posted["problems"]), output

        filler.unlink()
        second = lab.play("nightly", **settings(receiver, nightly_refresh=False))
        assert second.status == 0, second.output
        assert f"the night resumes run {run.name}, which was interrupted" in second.message()
        assert [result.case for result in whole_cases(journal)][: len(kept)] == kept
        assert "16 of 16 cases" in second.message()
    finally:
        subprocess.check_call(["umount", str(lab.results)])


def fill(path: Path) -> None:
    """Leave no space on a small file system."""
    with path.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(4096))


def started_run(lab: Lab, process: subprocess.Popen[str]) -> Path:
    """The folder of the run that a night has begun."""
    def come() -> bool:
        assert process.poll() is None, process.communicate()[0]
        return len(list(lab.results.glob("*/run.json"))) == 1

    wait_for("a run", come)
    return only_run(lab.results)


def whole_cases(journal: Path) -> list[CaseResult]:
    """The final results, without the torn line of a killed run."""
    return [attempt for attempt in read_journal(journal).attempts if attempt.final]
