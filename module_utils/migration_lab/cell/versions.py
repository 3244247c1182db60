# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machines of a cell are: versions that they report themselves, against what the combination asks for."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Iterable, Mapping

from ..model.errors import LabError
from ..model.version import format_version, parse_version
from .agent_process import AgentFailure, AgentProcess, CallError
from .cell import Cell
from .client import OPEN_LIMIT


def read_versions(
    agent: AgentProcess, cell: Cell, wait: float, machine_types: Iterable[tuple[str, str]]
) -> dict[str, dict[str, str]]:
    """Ask the client library and the daemons for their versions; the agent is connected to them afterwards.

    :param wait: seconds to wait for the daemons to answer; a real open is the test, an open port is not.
    :param machine_types: of the guests, each with its architecture before it; all hypervisors must know them.
    :returns: by role: ``libvirt`` and what ``Machine.system`` returns, ``python`` for the client, ``hypervisor`` (QEMU),
        ``hostname`` and ``daemons``, the names of those that run, for the others.
    :raises LabError: naming the machine that does not answer, or does not know the machine type.
    """
    deadline = time.monotonic() + wait
    # What does not go through the agent is read while that starts.
    machines = {"client": cell.client, **cell.daemons}
    pool = ThreadPoolExecutor(len(machines))
    systems = {role: pool.submit(machine.system) for role, machine in machines.items()}
    try:
        try:
            hello = agent.call("hello", OPEN_LIMIT)
        except AgentFailure as error:
            raise LabError(
                f"machine {cell.client.name}: no agent answers ({error}); check its python and libvirt binding"
            ) from error
        versions = {
            "client": {"libvirt": format_version(hello["libvirt"]), "python": hello["python"], **systems["client"].result()},
        }
        versions["client"].pop("qemu_package", None)  # is in its image, and runs nothing
        for role, machine in cell.daemons.items():
            opened = _open(agent, role, machine.name, machine.uri, deadline)
            qemu = agent.call("hypervisor", 60, connection=role)["hypervisor"]
            versions[role] = {
                "libvirt": format_version(opened["libvirt"]),
                "hypervisor": format_version(qemu),
                "hostname": opened["hostname"],
                "daemons": ", ".join(machine.daemons()),
                **systems[role].result(),
            }
            _check_machine_types(agent, role, machine.name, machine_types)
        return versions
    except AgentFailure as error:
        raise LabError(f"the daemons did not report their versions: {error}") from error
    finally:
        pool.shutdown()


def _open(agent: AgentProcess, role: str, name: str, uri: str, deadline: float) -> dict[str, Any]:
    while True:
        try:
            answer: dict[str, Any] = agent.call("open", max(1.0, deadline - time.monotonic()), connection=role, uri=uri)
            return answer
        except AgentFailure as error:
            if not isinstance(error, CallError) or time.monotonic() >= deadline:
                raise LabError(f"machine {name}: the daemon does not answer at {uri} ({error}); look at its log") from error
            time.sleep(0.1)


def check_versions(versions: Mapping[str, Mapping[str, str]], expected: Mapping[str, Mapping[str, str]], boundary: str) -> None:
    """Compare reported versions with the releases and classes that were asked for.

    :param expected: by role: ``release``, ``libvirt`` (its version), ``class`` (old, new or a letter) and, where the
        relay presents the machine as an older one, ``ceiling`` (that version).
    :param boundary: the version that old is below and new is not; empty where the question has none.
    :raises LabError: naming every machine that is not what was asked for.
    """
    wrong = []
    for role in versions:
        seen, asked = versions[role]["libvirt"], expected[role]
        is_new = bool(boundary) and parse_version(asked.get("ceiling") or seen) >= parse_version(boundary)
        if seen != asked["libvirt"]:
            wrong.append(f"the {role} reports libvirt {seen}, release {asked['release']} should be {asked['libvirt']}")
        elif boundary and is_new != (asked["class"] == "new"):
            wrong.append(f"the {role} reports libvirt {seen}, which is not {asked['class']} at the boundary {boundary}")
    if wrong:
        raise LabError("; ".join(wrong) + "; rebuild the release's image, or correct the catalogue")


def _check_machine_types(agent: AgentProcess, role: str, name: str, machine_types: Iterable[tuple[str, str]]) -> None:
    xml = agent.call("capabilities", 60, connection=role)["xml"]
    for arch, machine_type in sorted(set(machine_types)):
        if machine_type not in _machine_types(xml, arch):
            raise LabError(
                f"machine {name}: its QEMU knows no machine type '{machine_type}' for {arch}; "
                "set guest_machine to one that both QEMUs of the pair know"
            )


def _machine_types(capabilities: str, arch: str) -> set[str]:
    """Machine types of an architecture in a capabilities document."""
    guests = re.findall(r"<guest>.*?</guest>", capabilities, re.S)
    chosen = [guest for guest in guests if f"<arch name='{arch}'" in guest]
    return {name for guest in chosen for name in re.findall(r"<machine[^>]*>([^<]+)</machine>", guest)}
