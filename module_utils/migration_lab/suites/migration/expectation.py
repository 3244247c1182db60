# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle: the expected result of each case. Pure functions of the case; the rules are those that libvirt documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

from ...model.case import Case, State
from ...model.version import parse_version

# The release from which VIR_MIGRATE_PERSIST_DEST replaces a config that the target had (commit 79ccfec80f1f). Before, the
# documentation only says that there is one afterwards.
CONFIG_REPLACED = parse_version("1.2.20")


@dataclass(frozen=True)
class Expectation:
    """The world after a successful migration."""

    source_config_kept: bool
    target_persistent: bool
    target_state: State
    target_config: str


def expect(case: Case) -> Expectation:
    """What must be seen after the case's migration has succeeded.

    The source's config stays if the guest was persistent and VIR_MIGRATE_UNDEFINE_SOURCE is not set.  The target is
    persistent if VIR_MIGRATE_PERSIST_DEST is set or it had a config.  The state is the one before, or paused with
    VIR_MIGRATE_PAUSED.  The target's config is ``replaced`` by the guest's if VIR_MIGRATE_PERSIST_DEST is set and there was
    one, else ``made``; without the flag it is ``kept`` or ``absent``.  Source: libvirt's virDomainMigrateFlags and the
    table in docs/migration.rst, and libvirt-tck's table.
    """
    flags = case.flags.migrate
    config = {
        (True, True): "replaced", (True, False): "made", (False, True): "kept", (False, False): "absent",
    }["persist-dest" in flags, case.scenario.target_config]
    return Expectation(
        source_config_kept=case.scenario.persistent and "undefine-source" not in flags,
        target_persistent="persist-dest" in flags or case.scenario.target_config,
        target_state=State.PAUSED if "paused" in flags else case.scenario.state,
        target_config=config,
    )


def replaces_config(libvirt: Mapping[str, int]) -> bool:
    """Whether source and target are documented to replace the target's config by the guest's with VIR_MIGRATE_PERSIST_DEST.

    :param libvirt: by role libvirt's version as a number, as the machines report it.
    """
    return min(libvirt["source"], libvirt["target"]) >= CONFIG_REPLACED
