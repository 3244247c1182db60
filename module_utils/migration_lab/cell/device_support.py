# SPDX-License-Identifier: GPL-3.0-or-later
"""Which devices a daemon knows: what its domain capabilities list, and what it makes of a domain that has the device."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, Mapping, Sequence
from xml.etree import ElementTree

from ..guest.config import GuestConfig
from ..guest.domain_xml import domain_xml
from ..model.case import SIDES
from ..model.errors import LabError
from .agent_process import AgentFailure, AgentProcess, CallError
from .cell import Cell
from .domains import UUID_SPACE

CALL_LIMIT = 60.0  # seconds

# A daemon takes XML that it does not know for granted and leaves it out. These attributes tell one device from another.
_TELLING = ("backend", "bus", "model", "state", "type")
# What a daemon rewrites, and no device is made of.
_OTHER = ("cpu", "description", "maxMemory", "memory", "name", "os", "uuid", "vcpu")


def models_in(capabilities: str) -> dict[str, list[str]]:
    """The models that a domain capabilities document lists.

    :returns: by place, element below ``<devices>`` and enum such as ``video/modelType``, the values. A place that the document
        does not have is absent: the daemon does not tell. A device that it says is not supported has no values.
    """
    found = {}
    for element in ElementTree.fromstring(capabilities).iterfind("devices/*"):
        for enum in element.iterfind("enum"):
            values = [value.text or "" for value in enum.iterfind("value")]
            found[f"{element.tag}/{enum.get('name')}"] = values if element.get("supported") == "yes" else []
    return found


def ignored_in(given: str, shown: str) -> list[str]:
    """The elements of a domain's XML that a daemon does not show again: it has ignored them.

    :param given: what the daemon was given to define.
    :param shown: the config that it shows.
    :returns: such as ``<crypto model='virtio'>``.
    """
    domain, config = ElementTree.fromstring(given), ElementTree.fromstring(shown)
    lost = []
    for element in domain:
        if element.tag == "devices":
            there = list(config.iterfind("devices/*"))
            lost += [device for device in element if not any(_shows(other, device) for other in there)]
        elif element.tag not in _OTHER and not any(_shows(other, element) for other in config.iterfind(element.tag)):
            lost.append(element)
    return [_start_tag(element) for element in lost]


def _shows(shown: ElementTree.Element, given: ElementTree.Element) -> bool:
    return (
        shown.tag == given.tag
        and all(shown.get(name) == given.get(name) for name in _TELLING if name in given.attrib)
        and all(any(_shows(other, child) for other in shown) for child in given)
    )


def _start_tag(element: ElementTree.Element) -> str:
    return f"<{' '.join([element.tag, *(f'{name}={chr(39)}{value}{chr(39)}' for name, value in element.attrib.items())])}>"


def read_models(cell: Cell, arch: str, machines: Sequence[str], domain_type: str) -> dict[str, dict[str, Any]]:
    """Ask source and target for their domain capabilities.

    :param machines: machine types; what any of them lists counts.
    :param domain_type: ``kvm`` or ``qemu``.
    :returns: by side what ``models_in`` returns; None where the side has no domain capabilities (libvirt before 1.2.7).
    :raises LabError: when a daemon does not answer.
    """

    def ask(side: str) -> Any:
        found: dict[str, list[str]] = {}
        with closing(_connected(cell, side)) as agent:
            for machine in machines:
                xml = agent.call(
                    "domain_capabilities", CALL_LIMIT, connection=side, arch=arch, machine=machine, type=domain_type
                )["xml"]
                if xml is None:
                    return None
                for place, values in models_in(xml).items():
                    have = found.setdefault(place, [])
                    have += [value for value in values if value not in have]
        return found

    return _on_both(ask)


def read_support(cell: Cell, guests: Mapping[str, GuestConfig], prefix: str) -> dict[str, dict[str, str]]:
    """Have source and target define each guest, look at what they make of it, and undefine it again. Nothing is started.

    :param prefix: start of the domains' names.
    :returns: by guest and side why the side cannot have it: libvirt's words, or which elements it ignores; empty where it can.
    :raises LabError: when a daemon does not answer.
    """

    def ask(side: str) -> dict[str, str]:
        with closing(_connected(cell, side)) as agent:
            return {name: _try_to_define(agent, side, guest, f"{prefix}survey-{name}") for name, guest in guests.items()}

    sides = _on_both(ask)
    return {name: {side: sides[side][name] for side in SIDES} for name in guests}


def _try_to_define(agent: AgentProcess, side: str, guest: GuestConfig, name: str) -> str:
    xml = domain_xml(guest, name, str(uuid.uuid5(UUID_SPACE, f"survey/{name}")))
    try:
        agent.call("define", CALL_LIMIT, connection=side, xml=xml)
    except CallError as error:
        return str(error)
    shown = agent.call("config", CALL_LIMIT, connection=side, name=name)["xml"]
    agent.call("undefine", CALL_LIMIT, connection=side, name=name)
    ignored = ignored_in(xml, shown)
    return f"it ignores {', '.join(ignored)}" if ignored else ""


def _connected(cell: Cell, side: str) -> AgentProcess:
    agent = AgentProcess(cell.client.exec, cell.client.python)
    try:
        agent.call("open", CALL_LIMIT, connection=side, uri=getattr(cell, side).uri)
    except BaseException:
        agent.close()
        raise
    return agent


def _on_both(ask: Any) -> dict[str, Any]:
    """What each side answers; both are asked at the same time."""
    with ThreadPoolExecutor(len(SIDES)) as pool:
        answers = {side: pool.submit(ask, side) for side in SIDES}
        try:
            return {side: answer.result() for side, answer in answers.items()}
        except AgentFailure as error:
            raise LabError(f"the daemons could not be asked for their devices: {error}") from error
