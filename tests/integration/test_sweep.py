# SPDX-License-Identifier: GPL-3.0-or-later
"""A sweep of three releases, killed in the middle and resumed: each triple of at most two releases once, and a true page."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest

from lab import Lab, Played, cases_of, kill_all, wait_for_cases
from migration_lab.model.combination import running_order

RELEASES = ["debian-12", "debian-13", "debian-13-backports"]
CASES = ["normal/persistent-running/persist-dest", "p2p/transient-paused/persist-dest"]
ORDER = running_order(("a", "b", "c"))
KILLED = ORDER[9]


@pytest.fixture(scope="module")
def swept(lab: Lab) -> Played:
    """The sweep: killed in its tenth combination, with everything that it started, and resumed."""
    asked: dict[str, Any] = {"releases": ",".join(RELEASES), "guest": "s390x", "run": "sweep"}
    killed = lab.start("sweep", cases=",".join(CASES), **asked)
    try:
        wait_for_cases(lab.journal("sweep", KILLED), 1, killed)
    finally:
        kill_all(killed)
    return lab.play("sweep", resume=True, clean=True, **asked)


def test_a_killed_sweep_runs_the_rest_when_it_is_resumed(lab: Lab, swept: Played) -> None:
    assert swept.status == 0, swept.output
    folder = lab.results / "sweep"
    for name in ORDER:
        assert sorted(line["case"] for line in cases_of(lab.journal("sweep", name)) if line["final"]) == sorted(CASES), name
    assert not [name for name in ORDER[:9] if swept.output.count(f"Run the cases on {name}]")], "none twice"
    data = json.loads((folder / "run.json").read_text())
    versions = dict(zip("abc", ("9.0.0", "11.3.0", data["releases"][RELEASES[2]]["libvirt"])))
    for name, combination in data["results"]["combinations"].items():
        reported = {role: machine["libvirt"] for role, machine in combination["versions"].items()}
        assert reported == {role: versions[letter] for role, letter in zip(("client", "source", "target"), name)}, name


def test_page_and_terminal_have_a_letter_for_each_direction(lab: Lab, swept: Played) -> None:
    page = (lab.results / "sweep" / "index.html").read_text()
    table = page[page.index('class="rows sweep"'):page.index("The letter leads to")]
    letters = re.findall(r'class="key \w" href="#at:(\w\w\w)/[^"]*" aria-label="(\w): pass', table)
    assert sorted({name[1:] for name, _ in letters}) == sorted(f"{source}{target}" for source in "abc" for target in "abc")
    assert {letter for _, letter in letters} == {"P"}
    assert "deb 1" in table and "libvirt 9.0.0" in table, "versions and package revisions on the margins"
    message = swept.message()
    assert "c debian-13-backports P P P" in message and "green: 21 combinations, 42 of 42 cases, 420 of 420 checks" in message


def test_the_pages_command_runs_one_case_of_one_triple_again(lab: Lab, swept: Played) -> None:
    page = (lab.results / "sweep" / "index.html").read_text()
    command = re.search(rf'id="acc/{CASES[1]}".*?<pre class="again">(.*?)</pre>', page, re.S)
    assert command
    words = shlex.split(command[1].replace("&#39;", "'").replace("&#34;", '"'))
    assert words[:2] == ["ansible-playbook", "playbooks/sweep.yml"] and "combinations=acc" in words
    again = lab.play("sweep", *words[2:], run="again")
    assert again.status == 0, again.output
    assert [line["case"] for line in cases_of(lab.journal("again", "acc"))] == [CASES[1]]
    assert [path.name for path in (lab.results / "again").iterdir() if path.is_dir()] == ["acc"]


@pytest.mark.parametrize(
    ("playbook", "settings", "sentence"),
    [
        ("sweep", {}, "No release is named. Name two or more: -e releases=debian-12,debian-13"),
        ("sweep", {"releases": "debian-12"}, "releases: a sweep has 2 to 13 releases, not 1; name them with commas"),
        ("full_matrix", {"releases": "debian-12,debian-13"}, "releases is 'debian-12,debian-13', which only sweep.yml runs."),
    ],
)
def test_wrong_releases_are_refused(lab: Lab, playbook: str, settings: dict[str, str], sentence: str) -> None:
    refused = lab.play(playbook, run="refused", **settings)
    assert refused.status != 0 and sentence in refused.message()
    assert not (lab.results / "refused").exists()
