# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines that are containers on a lab host: what podman has to run, and how the lab's modules reach it.

A cell has a machine for each role and class that its combinations need, of a pair up to six. All of them run all the time, so
that going to the next combination is a choice of three. What a combination calls its third and fourth machine is a source and a
target of the other class.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Mapping, Optional, Sequence

from ...guest.config import STORAGE
from ...guest.kernel import ARCHITECTURES, build
from ...model.case import ROLES
from ...model.combination import LETTERS, PAIR_CLASSES
from ...releases.daemons import daemons
from ...releases.image import ROOT
from ...releases.recipe import FILES

IMAGES = "localhost/migration-lab/"
LOGS = "/var/log/libvirt"

# Last part of the addresses: 21 is the old client, 33 the new target, 43 the target of a sweep's class a.
_TENS = {kind: 20 + 10 * place for place, kind in enumerate((*PAIR_CLASSES, *LETTERS))}

# The containers that are further machines.
_CONTAINER_ROLE = {"third": "source", "fourth": "target"}

# Where a machine has the root of the other class's release, whose libvirt can take the place of its own, and that one's files.
OTHER_ROOT = f"{FILES}-other"
OTHER_FILES = f"{FILES}-other-files"

_PRIVATE = [ipaddress.IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]


def problem(subnet: str, provider: str) -> str:
    """What is wrong with a cell's settings; empty when its subnet is a /24 of private space and its provider is known."""
    if provider != "container":
        return f"machine_provider is '{provider}'; the lab knows 'container'"
    try:
        network = ipaddress.IPv4Network(subnet)
    except ValueError as error:
        return f"cell_subnet is '{subnet}' ({error}); give a private /24 such as 10.211.55.0/24"
    if network.prefixlen != 24 or not any(network.subnet_of(space) for space in _PRIVATE):
        return f"cell_subnet is '{subnet}'; give a private /24 such as 10.211.55.0/24"
    return ""


def image(release: Mapping[str, Any]) -> str:
    """Name of a release's image."""
    return f"{IMAGES}{release['name']}:{release['id']}"


def images(names: Sequence[str]) -> list[str]:
    """Those of the names of images that are the lab's."""
    return [name for name in names if name.startswith(IMAGES)]


def missing(releases: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The releases whose image is not there, or was laid over a root that is not its root's image any more.

    :param found: the images, as the podman collection describes them.
    """
    by_name = {name: one for one in found for name in one["RepoTags"] or ()}

    def there(release: Mapping[str, Any]) -> bool:
        own, root = by_name.get(image(release)), release.get("root")
        return own is not None and (
            root is None or (own["Labels"] or {}).get(ROOT, "") == by_name.get(image(root), {}).get("Id")
        )

    return [dict(release) for release in releases if not there(release)]


def file(name: str) -> str:
    """Path of one of the files that the role machine_files wrote, on a machine."""
    return f"{FILES}/{name}"


def kernel(arch: str) -> str:
    """Path of the guest's kernel on source and target."""
    return file(build(arch).file_name)


def application(arch: str) -> str:
    """Path on source and target of the EFI application that starts the guest's kernel; empty where there is none."""
    built = build(arch)
    return file(built.application_name) if built.application else ""


def emulator(release: Mapping[str, Any], arch: str, abilities: Mapping[str, Any], state: str, files: str) -> list[str]:
    """Command that starts a release's QEMU for guests of an architecture in a container of its own, without QEMU's arguments.

    :param abilities: the lab host's, as the module ``lab_host_info`` returns them.
    :param state: the lab's folder on the lab host.
    :param files: digest that names the folder of the machine files.
    """
    command = [*inside(abilities), "--device", "/dev/kvm", "--init", "--init-path", abilities["init"]]
    return [*command, f"--volume={_files(release, state, files)}", image(release), release["emulators"][arch]]


def inside(abilities: Mapping[str, Any]) -> list[str]:
    """Command that runs a program in a container of its own, without further options, the image and the program."""
    command = ["podman", "--runtime", abilities["runtime"], "run", "--rm", "-i", "--network", "none"]
    return command + [f"--ulimit={limit}" for limit in _ulimits(abilities)]


def trials(
    architectures: Sequence[Mapping[str, str]], releases: Mapping[str, Mapping[str, Any]], abilities: Mapping[str, Any],
    state: str, files: str,
) -> list[dict[str, Any]]:
    """What the module ``guest_acceleration`` tries: each architecture with the QEMU of each release, where the lab has a kernel.

    :param architectures: the plan's, with ``arch`` and ``machine``; the rest as for ``emulator``.
    """
    return [
        {**guest, "kernel": kernel(guest["arch"]), "emulators": [
            emulator(release, guest["arch"], abilities, state, files) for release in releases.values()
        ]}
        for guest in architectures if guest["arch"] in ARCHITECTURES
    ]


def cell(
    combinations: Mapping[str, Mapping[str, str]], name: str, subnet: str, releases: Mapping[str, Mapping[str, Any]],
    abilities: Mapping[str, Any], state: str, files: str, replaceable: bool = False,
) -> dict[str, Any]:
    """What a cell consists of, as Ansible's modules take it.

    :param combinations: those that the cell carries, each with the class of the machine of each role.
    :param name: the cell's name in the inventory.
    :param subnet: its network, a /24.
    :param releases: by class the release of the machines: all classes of the run.
    :param abilities: the lab host's, as the module ``lab_host_info`` returns them.
    :param state: the lab's folder on the lab host.
    :param files: digest that names the folder of the machine files.
    :param replaceable: whether a daemon can be replaced by that of the other class's release.
    :returns: ``network`` and ``containers`` as the podman collection takes them, ``machines`` by combination and role, and
        ``daemons``, the machines that have one.
    """
    network = f"mlab-{name}"
    wanted = {(_CONTAINER_ROLE.get(role, role), kind) for kinds in combinations.values() for role, kind in kinds.items()}
    every = [(role, kind) for kind in _TENS if kind in releases for role in ROLES]
    order = [one for one in every if one in wanted]
    names = {one: f"{network}-{'-'.join(one)}" for one in every}
    addresses = {one: _address(subnet, *one) for one in every}
    # All of the run's, so that a container need not be recreated when one more joins.
    hosts = {names[one]: addresses[one] for one in every}
    others = {kind: other for kind in releases for other in releases if other != kind} if replaceable else {}
    machines = {
        one: _machine(names[one], addresses[one], one[0], releases[one[1]], releases.get(others.get(one[1], ""))) for one in order
    }
    return {
        "network": network,
        "containers": [
            {
                **_container(names[one], one[0], addresses[one], releases[one[1]], abilities),
                "network": [network],
                "etc_hosts": hosts,
                "volumes": [
                    _files(releases[one[1]], state, files), f"{state}/cache/{releases[one[1]]['id']}:/var/cache/libvirt",
                    # With its device nodes, which the disks are.
                    *([f"{state}/storage/{name}:{STORAGE}:dev"] if one[0] != "client" else []),
                    *([_files(releases[others[one[1]]], state, files, OTHER_FILES)] if one[0] != "client" and others else []),
                ],
                **({"mount": [_root(releases[others[one[1]]])]} if one[0] != "client" and others else {}),
                # A release whose daemons are others than before keeps its name and image: the machine is made again.
                "label": {
                    "migration-lab.cell": name, "migration-lab.role": one[0], "migration-lab.daemons": daemons(releases[one[1]]),
                },
            }
            for one in order
        ],
        "machines": {
            combination: {role: machines[_CONTAINER_ROLE.get(role, role), kind] for role, kind in kinds.items()}
            for combination, kinds in combinations.items()
        },
        "daemons": [machines[one] for one in order if one[0] != "client"],
    }


def _address(subnet: str, role: str, kind: str) -> str:
    return str(ipaddress.IPv4Network(subnet)[_TENS[kind] + ROLES.index(role) + 1])


def _machine(
    name: str, address: str, role: str, release: Mapping[str, Any], other: Optional[Mapping[str, Any]]
) -> dict[str, Any]:
    """A machine as ``cell.machine.Machine`` takes it; ``other`` is the release that its daemon can be replaced by."""
    machine = {
        "name": name,
        "exec": ["podman", "exec", "-i", name],
        # What podman calls itself in the end. podman's own part costs several times as much: three more processes, two of which
        # carry all that is read and written.
        "shortcut": ["podman", "inspect", "--format", "{{.OCIRuntime}} exec {{.Id}}", name],
        "python": release["python"],
        "address": address,
        "namespace": ["podman", "inspect", "--format", "{{.NetworkSettings.SandboxKey}}", name],
    }
    if role != "client":
        machine.update(uri=f"qemu+tcp://{name}/system", daemon=[file("machine")], logs=LOGS)
        if other:
            machine["replacement"] = other["libvirt"]
    return machine


def _container(
    name: str, role: str, address: str, release: Mapping[str, Any], abilities: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "name": name,
        "hostname": name,
        "image": image(release),
        # An image that was built again has the name of the one before it.
        "image_strict": True,
        "state": "started",
        "command": [file("machine"), "run", "library" if role == "client" else "daemon"],
        "cmd_args": ["--runtime", abilities["runtime"]],
        "init": True,
        "init_path": abilities["init"],
        "privileged": True,
        # An image may ask for volumes of its own.
        "image_volume": "ignore",
        "ip": address,
        # Follows from the address: the other machines, which remember it for half a minute and longer, find a machine that was
        # recreated at once.
        "mac_address": "02:00:" + ":".join(f"{int(part):02x}" for part in address.split(".")),
        "ulimits": _ulimits(abilities),
    }


def _ulimits(abilities: Mapping[str, Any]) -> list[str]:
    return [f"{name}={abilities['ulimits'][name]}:{abilities['ulimits'][name]}" for name in ("nofile", "nproc")]


def _files(release: Mapping[str, Any], state: str, files: str, where: str = FILES) -> str:
    return f"{state}/files/{files}/{release['name']}:{where}:ro"


def _root(release: Mapping[str, Any]) -> str:
    """Mount of a release's image; what is written into it is gone with the container."""
    return f"type=image,source={image(release)},destination={OTHER_ROOT},rw=true"
