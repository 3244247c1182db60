# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer of a check: its text, its page and its JSON."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from checked_guests import CHECKS, HT, PREFERRED, run_of, variant
from migration_lab.own_guest.variants import PART
from migration_lab.report.guest_check import answer_files, answer_text, changes_text, summary
from migration_lab.results.guest_check import GuestCheck, read_check
from migration_lab.results.run import read_run
from synthetic_run import ROOT

TEMPLATES = ROOT / "roles/report/templates"
ENTRY = {
    "id": "ht", "title": "A topology stops it", "when": {"target": ">=10.0.0"}, "cause": "QEMU <10> & libvirt.",
    "effects": [{"check": "migrated", "got": "*extra features: ht*"}], "advice": "Use sockets.", "reference": "x",
}


class Parsed(HTMLParser):
    """The texts and start tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture
def check(tmp_path: Path) -> GuestCheck:
    """One guest moves, another only back, stopped by one line."""
    fails = {"oon": {"app": HT["oon"]}}
    run = read_run(run_of(tmp_path / "run", ["app", "web"], fails, deviations=[ENTRY]))
    searched = read_run(run_of(tmp_path / "run/search", ["one", "two"], {"oon": {"two": HT["oon"]}}, PREFERRED))
    variants = [variant("app", "one", PART, 22, "with 2 sockets"), variant("app", "two", PART, 23, "without a clock")]
    return read_check(run, CHECKS, searched, variants)


def test_the_text_names_the_line_libvirts_words_and_what_to_do(check: GuestCheck) -> None:
    cases = "normal (running, paused); p2p (running, paused); tunnelled (running, paused)"
    assert answer_text(check) == [
        "Between bookworm (libvirt 9.0.0, QEMU 7.2.22) and trixie (libvirt 11.3.0, QEMU 10.0.6):",
        "",
        "app (/root/app.xml) DOES NOT MOVE",
        f"    bookworm -> trixie: does not move: {cases}",
        f"        {HT['oon']}",
        "        stopped by line 22: <line number='22'/> (it moves with 2 sockets)",
        "        known (ht): A topology stops it",
        "        what to do: Use sockets.",
        f"    trixie -> bookworm: moves: {cases}",
        "",
        "web (/root/web.xml) moves",
        f"    bookworm -> trixie: moves: {cases}",
        f"    trixie -> bookworm: moves: {cases}",
        "",
        f"The page: {check.run.folder / 'guest_check.html'}",
    ]
    assert summary(check) == "app does not move"
    assert changes_text(CHECKS)[:2] == [
        "app: what the lab changed of /root/app.xml; all else stays as it is", "    line 7: emulator is left out: a <reason>",
    ]


def test_the_page_has_the_answer_escaped_and_stands_alone(check: GuestCheck) -> None:
    page = answer_files(check, TEMPLATES)[check.run.folder / "guest_check.html"]
    parsed = Parsed()
    parsed.feed(page)
    text, tags = parsed.text, parsed.tags
    culprit = "stopped by line 22: <line number='22'/> (it moves with 2 sockets)"
    for words in (culprit, "QEMU <10> & libvirt.", HT["oon"], "a <reason>"):
        assert any(words in part for part in text), words
    assert not {"line", "reason"} & {tag for tag, _ in tags}
    links = [attributes["href"] for tag, attributes in tags if tag == "a"]
    assert links == ["#answer", "guest_check.json", "index.html"]
    assert not any("src" in attributes for _, attributes in tags)
    assert [attributes["class"] for tag, attributes in tags if tag == "p" and "result" in (attributes.get("class") or "")] == [
        "result red", "result green", "result green", "result green",
    ]


def test_the_json_says_the_same(check: GuestCheck) -> None:
    data = json.loads(answer_files(check, TEMPLATES)[check.run.folder / "guest_check.json"])
    assert data["moves"] is False
    assert [(guest["name"], guest["moves"]) for guest in data["guests"]] == [("app", False), ("web", True)]
    direction = data["guests"][0]["directions"][0]
    assert direction["culprits"] == [{"lines": [22], "source": "<line number='22'/>", "what": "with 2 sockets"}]
    assert [advice["id"] for advice in direction["advice"]] == ["ht"]
