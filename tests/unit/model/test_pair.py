# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs and sweeps: the classes of their machines, and their words."""

from __future__ import annotations

from migration_lab.model.pair import between, classes_of, is_sweep, pair_in_full, pair_text, releases_of

PAIR = {"name": "debian", "old": "debian-12", "new": "debian-13", "boundary": "11.3.0"}
SWEEP = {"name": "sweep", "releases": ["debian-11", "debian-12", "debian-13"]}


def test_releases_of_a_pair_are_old_and_new() -> None:
    assert releases_of(PAIR) == {"old": "debian-12", "new": "debian-13"}
    assert classes_of(PAIR) == ("old", "new") and not is_sweep(PAIR)


def test_releases_of_a_sweep_have_letters() -> None:
    assert releases_of(SWEEP) == {"a": "debian-11", "b": "debian-12", "c": "debian-13"}
    assert classes_of(SWEEP) == ("a", "b", "c") and is_sweep(SWEEP)


def test_both_have_words() -> None:
    assert between(PAIR) == "debian-12 and debian-13" and between(SWEEP) == "debian-11, debian-12 and debian-13"
    assert pair_text(PAIR) == "pair debian" and pair_text(SWEEP) == "sweep of a debian-11, b debian-12, c debian-13"
    assert pair_in_full(SWEEP) == "sweep (debian-11, debian-12, debian-13)"
    emulated = {**PAIR, "ceiling": "0.9.1"}
    assert pair_in_full(emulated) == "debian (debian-12, debian-13, boundary 11.3.0, old presented as 0.9.1)"
