# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documents name is there: files, anchors, make's targets, playbooks and settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Iterator

import pytest
import yaml

from migration_lab.planning.schema import validate

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "module_utils" / "migration_lab"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

# A word that begins like this names a file or folder of the repository.
TREES = ("playbooks/", "roles/", "scenarios/", "docs/", "tests/", "library/", "inventory/")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(path: Path) -> str:
    """A document without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub and GitLab make them."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(path: Path) -> Iterator[str]:
    for match in re.finditer(r"\]\(([^)\s]+)\)|src(?:set)?=\"([^\"]+)\"", prose(path)):
        yield match[1] or match[2]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in links(path):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file) if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_files_that_are_named_exist(path: Path) -> None:
    for word in re.findall(r"[\w./-]+", path.read_text()):
        if word.startswith(TREES) and not word.endswith("."):
            assert (ROOT / word).exists(), word


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_modules_that_are_named_exist(path: Path) -> None:
    """By their path below the lab's package."""
    for word in re.findall(r"`((?:[a-z_]+/)+[a-z0-9_]+\.py)`", path.read_text()):
        assert (PACKAGE / word).exists() or (ROOT / word).exists(), word


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_commands_can_be_typed(path: Path) -> None:
    text = path.read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_settings_that_are_given_exist(path: Path) -> None:
    settings = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE))
    given = re.findall(r"-e '?(\w+)=", path.read_text().replace("-e name=value", ""))
    assert set(given) <= settings


def test_the_readme_is_read_in_one_sitting() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 130
    assert max(map(len, lines)) <= 130


def test_examples_of_a_catalogue_fit_its_schemas() -> None:
    found = 0
    for path in DOCUMENTS:
        for block in re.findall(r"^```yaml\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL):
            data = yaml.safe_load(block.replace("...", "a" * 64))
            found += len(data.get("own_guests", {}))
            for section in ("releases", "pairs"):
                entries = data.get(f"own_{section}", {})
                validate(entries, ROOT / "scenarios" / "schema" / f"{section}.json", name(path))
                found += len(entries)
    assert found >= 8
