# SPDX-License-Identifier: GPL-3.0-or-later
"""A podman that keeps names of images and nothing else."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import Any


@dataclass
class FakePodman:
    """Takes the place of ``subprocess.run``."""

    # By name the id of each image.
    images: dict[str, str] = field(default_factory=dict)
    # By id the label of an image's root.
    labels: dict[str, str] = field(default_factory=dict)
    # What a pull brings: the id and the names that it has; no id for a failure.
    pulled: tuple[str, list[str]] = ("", [])
    # What a build prints, and how it ends.
    built: tuple[int, str] = (0, "STEP 1/1: FROM x\nddd\n")
    # What a container prints.
    ran: str = ""
    calls: list[list[str]] = field(default_factory=list)
    # The standard input of builds and containers.
    inputs: list[str] = field(default_factory=list)

    def run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Carry out a command of podman's."""
        words = [word for word in command[1:] if word not in ("--runtime", "runc")]
        self.calls.append(words)
        if "input" in options:
            self.inputs.append(options["input"])
        status, output, error = getattr(self, f"do_{words[0]}")(words)
        return subprocess.CompletedProcess(command, status, output, error)

    def do_images(self, _words: list[str]) -> tuple[int, str, str]:
        return 0, "".join(f"{name} sha256:{owner}\n" for name, owner in self.images.items()), ""

    def do_pull(self, _words: list[str]) -> tuple[int, str, str]:
        owner, names = self.pulled
        if not owner:
            return 125, "", "trying again\nError: no such image\n"
        self.images |= dict.fromkeys(names, owner)
        return 0, f"{owner}\n", ""

    def do_untag(self, words: list[str]) -> tuple[int, str, str]:
        del self.images[words[2]]
        return 0, "", ""

    def do_tag(self, words: list[str]) -> tuple[int, str, str]:
        self.images[words[2]] = words[1]
        return 0, "", ""

    def do_image(self, words: list[str]) -> tuple[int, str, str]:
        owner = self.images.get(words[-1])
        if owner is None:
            return 125, "", "Error: image not known\n"
        return 0, f"{self.labels[owner] if 'Labels' in words[3] else owner}\n", ""

    def do_build(self, _words: list[str]) -> tuple[int, str, str]:
        return self.built[0], self.built[1], "Error: building at STEP: exit status 1\n" if self.built[0] else ""

    def do_run(self, _words: list[str]) -> tuple[int, str, str]:
        return 0, self.ran, ""

    def do_rmi(self, _words: list[str]) -> tuple[int, str, str]:
        return 0, "", ""
