# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle: what each case must come to. Pure functions of the case; the rules are libvirt's documented ones."""

from __future__ import annotations

from dataclasses import dataclass

from .model import Case, State


@dataclass(frozen=True)
class Expectation:
    """The world after a successful migration."""

    source_config_kept: bool
    target_persistent: bool
    target_state: State


def expect(case: Case) -> Expectation:
    """What must be seen after the case's migration has succeeded.

    The source's config stays if the guest was persistent and VIR_MIGRATE_UNDEFINE_SOURCE is not set.  The target is
    persistent if VIR_MIGRATE_PERSIST_DEST is set or it had a config.  The state is the one before, or paused with
    VIR_MIGRATE_PAUSED.  Source: libvirt's virDomainMigrateFlags and docs/migration.rst, and libvirt-tck's table.
    """
    flags = case.flags.migrate
    return Expectation(
        source_config_kept=case.scenario.persistent and "undefine-source" not in flags,
        target_persistent="persist-dest" in flags or case.scenario.target_config,
        target_state=State.PAUSED if "paused" in flags else case.scenario.state,
    )
