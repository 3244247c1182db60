# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab's machines are made of, for playbooks and roles: a machine provider's and the releases' functions as filters."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Callable

# Modules get the lab's package from Ansible; a filter has to find it itself.
sys.path.append(str(Path(__file__).resolve().parents[2] / "module_utils"))

from migration_lab.cell.providers import container
from migration_lab.releases import recipe


class FilterModule:
    """The filters' names."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """By name the function behind it."""
        return {
            "lab_cell": container.cell,
            "lab_file": container.file,
            "lab_inside": container.inside,
            "lab_image": container.image,
            "lab_images": container.images,
            "lab_cell_problem": container.problem,
            "lab_missing": container.missing,
            "lab_roots": recipe.distinct_roots,
            "lab_trials": container.trials,
        }
