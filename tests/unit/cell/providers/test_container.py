"""Containers as machines: which a cell has, and what podman and the modules are given."""

from __future__ import annotations

from typing import Any

import pytest

from migration_lab.cell.machine import Machine
from migration_lab.cell.providers import container
from migration_lab.model.combination import COMBINATIONS, LETTERS, classes

COMMON = {"python": "/usr/bin/python3", "emulators": {"x86_64": "/usr/bin/qemu"}}
RELEASES: dict[str, dict[str, Any]] = {
    "old": {"name": "debian-12", "id": "debian-12-0", **COMMON}, "new": {"name": "debian-13", "id": "debian-13-1", **COMMON},
}
ABILITIES = {"runtime": "runc", "init": "/usr/bin/catatonit", "ulimits": {"nofile": 1024, "nproc": 512}}


def cell(*combinations: str) -> dict[str, Any]:
    wanted = {name: classes(name) for name in combinations}
    return container.cell(wanted, "a", "10.1.2.0/24", RELEASES, ABILITIES, "/state", "0123")


def test_a_combination_needs_three_machines_and_all_need_six() -> None:
    assert [one["name"] for one in cell("noo")["containers"]] == ["mlab-a-source-old", "mlab-a-target-old", "mlab-a-client-new"]
    assert len(cell(*COMBINATIONS)["containers"]) == 6
    assert len({one["ip"] for one in cell(*COMBINATIONS)["containers"]}) == 6


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_a_combination_uses_the_machines_of_its_classes(combination: str) -> None:
    everything = cell(*COMBINATIONS)
    containers = {one["name"]: one for one in everything["containers"]}
    for letter, (role, data) in zip(combination, everything["machines"][combination].items()):
        machine = Machine.from_data(data)
        kind = {"o": "old", "n": "new"}[letter]
        assert containers[machine.name]["image"] == container.image(RELEASES[kind])
        assert containers[machine.name]["ip"] == machine.address
        assert containers[machine.name]["command"][-1] == ("library" if role == "client" else "daemon")
        assert bool(machine.daemon) == bool(machine.uri) == (role != "client")
    assert [one["name"] for one in everything["daemons"]] == [
        "mlab-a-source-old", "mlab-a-target-old", "mlab-a-source-new", "mlab-a-target-new",
    ]


def test_every_machine_knows_the_others_and_has_the_files_of_its_release() -> None:
    for one in cell("ooo", "nnn")["containers"]:
        assert len(one["etc_hosts"]) == 6 and one["etc_hosts"][one["name"]] == one["ip"]
        name = "debian-12" if one["name"].endswith("-old") else "debian-13"
        assert one["volumes"][0] == f"/state/files/0123/{name}:/lab:ro"
        shared = [volume for volume in one["volumes"] if "/storage/" in volume]
        assert shared == ([] if "-client-" in one["name"] else ["/state/storage/a:/var/lib/migration-lab:dev"])
        assert one["ulimits"] == ["nofile=1024:1024", "nproc=512:512"]
        assert one["cmd_args"] == ["--runtime", "runc"]
    assert cell("ooo")["containers"][0]["mac_address"] == "02:00:0a:01:02:15"


def test_a_sweep_has_machines_for_the_letters_that_its_share_needs() -> None:
    releases = {kind: {"name": f"release-{kind}", "id": f"release-{kind}-0", **COMMON} for kind in LETTERS}
    names = ["aab", "mdd"]
    parts = container.cell({name: classes(name) for name in names}, "a", "10.1.2.0/24", releases, ABILITIES, "/state", "0123")
    assert [one["name"].removeprefix("mlab-a-") for one in parts["containers"]] == [
        "client-a", "source-a", "target-b", "source-d", "target-d", "client-m",
    ]
    assert parts["machines"]["aab"]["target"]["address"] == "10.1.2.53"
    addresses = list(parts["containers"][0]["etc_hosts"].values())
    pair = list(cell("ooo")["containers"][0]["etc_hosts"].values())
    assert len(addresses) == len({*addresses}) == 39 and not {*addresses} & {*pair}
    assert all(1 < int(address.rpartition(".")[2]) < 255 for address in addresses)


def test_machine_is_made_again_when_its_release_has_other_daemons(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cell("noo")["containers"][0]
    monkeypatch.setitem(RELEASES["old"], "daemons", "modular")
    after = cell("noo")["containers"][0]
    changed = {field for field in before if before[field] != after[field]}
    assert changed == {"label"} and after["label"]["migration-lab.daemons"] == "modular"


def test_a_machine_does_not_depend_on_which_others_there_are() -> None:
    every = cell(*COMBINATIONS)["containers"]
    assert all(one in every for one in cell("noo")["containers"])


def test_an_emulator_starts_in_a_container_of_its_release() -> None:
    command = container.emulator(RELEASES["old"], "x86_64", ABILITIES, "/state", "0123")
    assert command[:3] == ["podman", "--runtime", "runc"] and "/dev/kvm" in command
    assert command[-3:] == ["--volume=/state/files/0123/debian-12:/lab:ro", container.image(RELEASES["old"]), "/usr/bin/qemu"]


@pytest.mark.parametrize("subnet", ["10.211.55.0/24", "172.31.0.0/24", "192.168.7.0/24"])
def test_a_private_24_is_a_subnet(subnet: str) -> None:
    assert container.problem(subnet, "container") == ""


@pytest.mark.parametrize("subnet", ["banana", "", "10.211.55.1/24", "10.211.0.0/16", "8.8.8.0/24", "172.32.0.0/24", "fd00::/24"])
def test_other_subnets_are_refused_with_an_example(subnet: str) -> None:
    problem = container.problem(subnet, "container")
    assert problem.startswith(f"cell_subnet is '{subnet}'") and problem.endswith("give a private /24 such as 10.211.55.0/24")


def test_an_unknown_provider_is_refused() -> None:
    assert container.problem("10.211.55.0/24", "ssh") == "machine_provider is 'ssh'; the lab knows 'container'"


def test_further_machines_are_a_source_and_a_target_of_the_other_class() -> None:
    wanted = {"oon": {"client": "old", "source": "old", "target": "new", "third": "new", "fourth": "old"}}
    made = container.cell(wanted, "a", "10.1.2.0/24", RELEASES, ABILITIES, "/state", "0123")
    assert {role: machine["name"] for role, machine in made["machines"]["oon"].items()} == {
        "client": "mlab-a-client-old", "source": "mlab-a-source-old", "target": "mlab-a-target-new", "third": "mlab-a-source-new",
        "fourth": "mlab-a-target-old",
    }
    assert all("replacement" not in machine and "mount" not in one for machine, one in zip(made["daemons"], made["containers"]))


def test_a_machine_whose_libvirt_can_be_replaced_has_the_other_release_at_hand() -> None:
    releases = {kind: {**release, "libvirt": version} for (kind, release), version in zip(RELEASES.items(), ("9.0.0", "11.3.0"))}
    made = container.cell({"oon": classes("oon")}, "a", "10.1.2.0/24", releases, ABILITIES, "/state", "0123", replaceable=True)
    containers = {one["name"]: one for one in made["containers"]}
    source, client = containers["mlab-a-source-old"], containers["mlab-a-client-old"]
    image = container.image(releases["new"])
    assert source["mount"] == [f"type=image,source={image},destination=/lab-other,rw=true"] and "mount" not in client
    assert "/state/files/0123/debian-13:/lab-other-files:ro" in source["volumes"]
    assert {role: machine.get("replacement") for role, machine in made["machines"]["oon"].items()} == {
        "client": None, "source": "11.3.0", "target": "9.0.0",
    }


def test_only_the_labs_images_are_the_labs() -> None:
    mine = container.image(RELEASES["new"])
    assert container.images([mine, "docker.io/library/debian:13"]) == [mine]


def test_an_image_is_missing_when_it_is_not_there_or_its_root_was_built_again() -> None:
    root = {"name": "debian-12", "id": "debian-12-0"}
    tree = {"name": "mine", "id": "mine-1", "root": root}

    def found(release: dict[str, Any], number: str, label: str = "") -> dict[str, Any]:
        labels = {"migration-lab.root": label} if label else None
        return {"Id": number, "RepoTags": [container.image(release)], "Labels": labels}

    nameless = {"Id": "9", "RepoTags": None, "Labels": None}
    assert container.missing([root, tree], [nameless]) == [root, tree]
    assert container.missing([root, tree], [found(root, "1")]) == [tree]
    assert container.missing([root, tree], [found(root, "1"), found(tree, "2", "1")]) == []
    assert container.missing([root, tree], [found(root, "3"), found(tree, "2", "1")]) == [tree]
    assert container.missing([root, tree], [found(tree, "2", "1")]) == [root, tree]
