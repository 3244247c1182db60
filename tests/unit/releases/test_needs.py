# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image must have: the question is put to a shell on this machine, with programs made for it."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import pytest

from migration_lab.model.errors import LabError
from migration_lab.releases.needs import PROGRAMS, check_needs
from synthetic_run import ROOT

PYTHON = "#!/bin/sh\necho 'libvirt 11003000'\n"
NO_BINDING = "#!/bin/sh\necho Traceback >&2\necho 'ImportError: no module' >&2\nexit 1\n"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A folder that is all of the search path: the programs of this machine, an emulator, a daemon and an interpreter."""
    for name in PROGRAMS:
        (tmp_path / name).symlink_to(f"/bin/{name}")
    (tmp_path / "sh").symlink_to("/bin/sh")
    for name, text in (("qemu", "#!/bin/sh\n"), ("libvirtd", "#!/bin/sh\n"), ("python", PYTHON)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def check(image: Path, libvirt: str = "11.3.0", kind: str = "monolithic") -> Optional[str]:
    """The refusal, or nothing."""
    command = ["/usr/bin/env", "-i", f"PATH={image}"]
    emulators = {"x86_64": str(image / "qemu")}
    try:
        check_needs("mine", command, kind, str(image / "python"), emulators, libvirt, "install it")
    except LabError as error:
        return str(error)
    return None


def test_image_that_has_all_is_accepted(image: Path) -> None:
    assert check(image) is None


def test_emulator_that_stands_beside_its_script_is_there(image: Path) -> None:
    (image / "qemu").rename(image / "qemu.real")
    (image / "qemu").symlink_to("/lab/emulator")
    assert check(image) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [("umount", "the program umount"), ("qemu", "the emulator {}/qemu"), ("libvirtd", "the daemon libvirtd"),
     ("python", "the interpreter {}/python")],
)
def test_what_is_lacking_is_named_with_the_remedy(image: Path, name: str, said: str) -> None:
    (image / name).unlink()
    assert check(image) == f"the image of release 'mine' lacks {said.format(image)}: install it"


def test_all_that_is_lacking_is_one_sentence(image: Path) -> None:
    for name in ("tr", "qemu", "libvirtd"):
        (image / name).unlink()
    lacking = f"the program tr; the emulator {image}/qemu; the daemon libvirtd"
    assert check(image) == f"the image of release 'mine' lacks {lacking}: install it"


def test_modular_daemons_are_looked_for_in_place_of_libvirtd(image: Path) -> None:
    (image / "libvirtd").rename(image / "virtqemud")
    lacking = "the image of release 'mine' lacks the daemon virtproxyd: install it"
    assert check(image, kind="modular") == lacking
    (image / "virtproxyd").symlink_to("virtqemud")
    assert check(image, kind="modular") is None


def test_binding_that_does_not_work_is_named_with_its_error(image: Path) -> None:
    (image / "python").write_text(NO_BINDING)
    said = check(image)
    assert said == (
        f"the image of release 'mine' lacks a libvirt binding of {image}/python that works (ImportError: no module): install it"
    )


def test_another_version_than_the_entrys_is_refused(image: Path) -> None:
    assert check(image, "11.4.0") == "the image of release 'mine' has libvirt 11.3.0, its entry says 11.4.0; correct 'libvirt'"


def test_image_without_a_shell_is_refused(image: Path) -> None:
    (image / "sh").unlink()
    said = check(image)
    assert said and said.startswith("the image of release 'mine' cannot run a shell (") and "No such file" in said


def test_programs_of_the_control_script_are_looked_for() -> None:
    text = (ROOT / "roles/machine_files/templates/machine.j2").read_text()
    assert all(f"{name} " in text for name in PROGRAMS)
