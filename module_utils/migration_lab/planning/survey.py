# SPDX-License-Identifier: GPL-3.0-or-later
"""The device survey's guests: one for each device model and machine family. Pure but for reading its data."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence

from ..model.combination import COMBINATIONS, check_combinations, classes
from ..model.errors import LabError
from ..model.version import parse_version
from .schema import read_yaml, validate

# By family the machine type, as scenarios/guests/ write it.
FAMILIES = {"i440fx": "pc-i440fx-{qemu}", "q35": "pc-q35-{qemu}"}
ARCH = "x86_64"

# The first QEMU that has a machine type pc-q35 with a version.
_Q35_NAMED = "1.4"
PROFILE = "survey"

# The guest that the machines are prepared for before the devices are known.
BASE = "survey"
_MEMORY = 16
_NEVER = "it is not in scenarios/survey.yml, and its class there has no XML for further models"

_XML = """\
{%% set model = '%(model)s' %%}
<domain type='{{ type }}'>
  <name>{{ name }}</name>
  <uuid>{{ uuid }}</uuid>
  <description>{{ description }}</description>
  <memory unit='KiB'>{{ memory_kib }}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='{{ arch }}' machine='{{ machine }}'>hvm</type>
    <kernel>{{ kernel }}</kernel>
  </os>
  %(domain)s
  <devices>
    %(devices)s
  </devices>
</domain>
"""


@dataclass(frozen=True)
class Device:
    """A device model on a machine family.

    Attributes:
        kind: its class in ``scenarios/survey.yml``.
        model: the model, as libvirt's XML or domain capabilities name it.
        family: a key of ``FAMILIES``.
        guest: the guest that has it, as ``own_guests`` take it; None when it is not tried.
        not_tried: why it is not tried.
    """

    kind: str
    model: str
    family: str
    guest: Optional[Mapping[str, Any]] = None
    not_tried: str = ""

    @property
    def name(self) -> str:
        """Name of the guest: small letters, digits, - and _."""
        return re.sub("[^a-z0-9_-]", "-", f"{self.kind}-{self.model}-{self.family}".lower())

    @property
    def title(self) -> str:
        return f"{self.kind} {self.model}"


def load_classes(scenarios: Path) -> dict[str, Any]:
    """Read and validate ``survey.yml``.

    :raises LabError: naming file, class and field.
    """
    path = scenarios / "survey.yml"
    data = read_yaml(path)
    validate(data, scenarios / "schema" / "survey.json", str(path))
    return dict(data)


def survey_combinations(names: Sequence[str]) -> list[str]:
    """The combinations of a survey, in running order.

    :param names: of combinations whose source and target differ; empty for one in each direction with the client's libvirt
        the source's (``oon`` and ``nno``).
    :raises LabError: when one does not exist, or has equal sides: nothing moves between versions there.
    """
    chosen = check_combinations(list(names) or ["oon", "nno"])
    for name in chosen:
        sides = classes(name)
        if sides["source"] == sides["target"]:
            differ = [other for other in COMBINATIONS if classes(other)["source"] != classes(other)["target"]]
            raise LabError(
                f"the survey cannot run on combination '{name}': its source and target are both {sides['source']}; choose from "
                f"{', '.join(differ)}"
            )
    return chosen


def survey_families(names: Sequence[str]) -> list[str]:
    """The machine families of a survey.

    :param names: empty for all.
    :raises LabError: when one is unknown.
    """
    for name in names:
        if name not in FAMILIES:
            raise LabError(f"the survey knows no machine family '{name}'; it knows {', '.join(FAMILIES)}")
    return [family for family in FAMILIES if not names or family in names]


def make_devices(kinds: Mapping[str, Any], told: Mapping[str, Sequence[str]], families: Sequence[str]) -> list[Device]:
    """The devices to survey, in the order of the classes, each once for each machine family.

    :param kinds: as ``load_classes`` returns them.
    :param told: by place in the domain capabilities (``video/modelType``) the models that at least one daemon lists.
    """
    devices = []
    for kind, fields in kinds.items():
        models = {model: own or {} for model, own in fields["models"].items()}
        for model in told.get(fields.get("told_by", ""), ()):
            models.setdefault(model, {} if "devices" in fields or "not_tried" in fields else {"not_tried": _NEVER})
        devices += [_device(kind, model, family, {**fields, **own}) for model, own in models.items() for family in families]
    return devices


def choose_devices(devices: Sequence[Device], patterns: Sequence[str], strict: bool = True) -> list[Device]:
    """The devices that match at least one pattern, in order.

    :param patterns: shell patterns of names such as ``net-e1000`` or ``net-e1000-q35``; empty for all devices.
    :param strict: whether each pattern has to match a device.
    :raises LabError: when one does not.
    """
    chosen = set()
    for pattern in patterns or ["*"]:
        matches = {device.name for device in devices if _matches(device, pattern)}
        if strict and not matches:
            kinds = ", ".join(dict.fromkeys(device.kind for device in devices))
            raise LabError(
                f"the device pattern '{pattern}' matches none of the {len(devices)} devices; a pattern looks like net-* or "
                f"net-e1000, and the classes are {kinds}"
            )
        chosen |= matches
    return [device for device in devices if device.name in chosen]


def _matches(device: Device, pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in (device.name, device.name.rpartition("-")[0]))


def _device(kind: str, model: str, family: str, fields: Mapping[str, Any]) -> Device:
    if "not_tried" in fields:
        return Device(kind, model, family, not_tried=fields["not_tried"])
    guest = {
        "description": f"One {kind} device of model {model} on a machine of family {family}, for the device survey",
        "does_not_cover": "a guest whose drivers use the device; backends other than the one given; several devices at once",
        "arch": ARCH,
        "machine": FAMILIES[family],
        "memory": fields.get("memory", _MEMORY),
        "workers_per_core": 3,
        **{name: fields[name] for name in ("needs", "disks") if name in fields},
        "xml": _XML % {
            "model": model, "domain": fields.get("domain", ""),
            "devices": "\n    ".join([*_others(kind, fields), fields["devices"]]),
        },
    }
    return Device(kind, model, family, guest)


def _others(kind: str, fields: Mapping[str, Any]) -> list[str]:
    """What every guest has beside its device: as little as each version allows."""
    lines = []
    if not fields.get("usb"):
        lines += ["{% if since('0.9.11') %}", "<controller type='usb' model='none'/>", "{% endif %}"]
    elif kind != "usb":
        lines += ["<controller type='usb' index='0' model='{{ 'qemu-xhci' if since('3.5.0') else 'piix3-uhci' }}'/>"]
    if not fields.get("balloon"):
        lines += ["{% if since('0.8.5') %}", "<memballoon model='none'/>", "{% endif %}"]
    return lines


def survey_guests(devices: Sequence[Device]) -> dict[str, Any]:
    """The guests of the devices that are tried, as ``own_guests``, all with the same needs, so that they share their images."""
    needs = survey_needs(devices)
    guests = {device.name: device.guest for device in devices if device.guest is not None}
    return {name: {**guest, "needs": needs} if needs else dict(guest) for name, guest in guests.items()}


def survey_needs(devices: Sequence[Device]) -> list[str]:
    """The features that the devices' images need."""
    return sorted({need for device in devices if device.guest for need in device.guest.get("needs", ())})


def plan_survey(given: Mapping[str, Any]) -> dict[str, Any]:
    """Choose a survey's guests, as far as they can be known yet. See the module ``device_survey`` for arguments and result.

    :raises LabError: when a combination, family or pattern is wrong, or no device is left to try.
    """
    if not given["relay"]:
        raise LabError("the survey needs the relay, which sees whether a transfer began, and relay is false; leave relay out")
    if not given["guest_checks"]:
        raise LabError(
            "the survey needs the guest checks, which see whether a guest arrived whole, and guest_checks is false; leave "
            "guest_checks out"
        )
    families = survey_families(_listed(given["machine_families"]))
    combinations = survey_combinations([] if given["combinations"] == "all" else _listed(given["combinations"]))
    capabilities, support = given["capabilities"], given["support"]
    patterns = _listed(given["devices"])
    told: dict[str, list[str]] = {}
    for models in (capabilities or {}).values():
        for place, values in (models or {}).items():
            told[place] = [*told.get(place, []), *(value for value in values if value not in told.get(place, []))]
    devices = make_devices(load_classes(given["scenarios"]), told, families)
    # A pattern may be of a model that only a daemon names.
    devices = choose_devices(devices, patterns, strict=capabilities is not None)
    devices = [_within(device, given["releases"]) for device in devices]
    result: dict[str, Any] = {"combinations": ",".join(combinations), "devices": []}
    if capabilities is None:
        without = {family: _lacking(family, given["releases"]) for family in families}
        if all(without.values()):
            reasons = "; ".join(without.values())
            raise LabError(f"the survey has no machine family left: {reasons}; choose machine_families=i440fx")
        base = {f"{BASE}-{family}": _base(family, survey_needs(devices)) for family in families if not without[family]}
        return {**result, "guests": ",".join(base), "own_guests": base}
    guests = survey_guests(devices)
    if not guests:
        reasons = "; ".join(dict.fromkeys(f"{device.title}: {device.not_tried}" for device in devices))
        raise LabError(f"none of the devices can be tried ({reasons}); choose others")
    if support is not None:
        by_class = {name: {given["classes"][side]: words for side, words in sides.items()} for name, sides in support.items()}
        result["devices"] = [
            {
                "name": device.name, "kind": device.kind, "model": device.model, "family": device.family,
                "not_tried": device.not_tried, "support": by_class.get(device.name, {}),
            }
            for device in devices
        ]
        guests = {name: guest for name, guest in guests.items() if not all(support[name].values())}
        if not guests:
            lacking = [(name, side, words) for name, sides in by_class.items() for side, words in sides.items() if words]
            reasons = "; ".join(f"{name}, {side}: {words}" for name, side, words in lacking)
            raise LabError(f"no device is known on either side, so there is nothing to migrate ({reasons}); choose others")
    return {**result, "guests": ",".join(guests), "own_guests": guests}


def _base(family: str, needs: Sequence[str]) -> dict[str, Any]:
    """A guest without a device, with the needs of all of them."""
    device = _device(BASE, family, family, {"devices": ""})
    assert device.guest is not None
    return {**device.guest, "needs": list(needs)}


def _within(device: Device, releases: Sequence[Mapping[str, Any]]) -> Device:
    """The device; not tried where a release lacks its machine family or a feature that it needs."""
    lacking = _lacking(device.family, releases)
    if lacking and device.guest:
        return Device(device.kind, device.model, device.family, not_tried=lacking)
    for need in (device.guest or {}).get("needs", ()):
        for release in releases:
            if need not in release.get("features", {}):
                why = f"it needs {need}, for which release '{release['name']}' has no packages in 'features'"
                return Device(device.kind, device.model, device.family, not_tried=why)
    return device


def _lacking(family: str, releases: Sequence[Mapping[str, Any]]) -> str:
    """Why a pair's machines have no machine type of a family; empty where they have."""
    for release in releases:
        if family == "q35" and parse_version(release["qemu"]) < parse_version(_Q35_NAMED):
            return f"release '{release['name']}' has QEMU {release['qemu']}, and pc-q35 machine types begin with {_Q35_NAMED}"
    return ""


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
