# SPDX-License-Identifier: GPL-3.0-or-later
"""The conditions of a deviation: one table that the ledger's validation, its matching and its words follow from. Pure."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Mapping, Optional

from ..model.case import MIGRATE_FLAGS, ROLES, SIDES, Case, Method, State
from ..model.errors import LabError
from ..model.package_version import package_key
from ..model.protocol import PROTOCOL_V3
from ..model.version import parse_version

# The suites that conditions know: a guest that migrates, one that meets a fault while it does, and one whose libvirt is replaced
# (its hops are migrations like others).
MIGRATION, RECOVERY, CHAIN = "migration", "recovery", "chain"

# The version of the libvirt that the source's has replaced under the guest; also the condition on it.
REPLACES = "replaces"

# Above all versions that ``parse_version`` makes numbers of.
_ENDLESS = 10**12


@dataclass(frozen=True)
class Versions:
    """A range of version numbers, or of packages' versions in their order: ``low`` is in it, ``end`` is not."""

    low: Any = 0
    end: Any = _ENDLESS

    @classmethod
    def parse(cls, text: str) -> Versions:
        """A range such as ``<0.9.2``, ``>=7.0.0`` or ``>=0.9.2 <1.3.0``.

        :raises LabError: when the text is no range, or no version is in it.
        """
        low, end = _bounds(text, text, ">=0.9.2 <1.3.0")
        return cls(parse_version(low) if low else 0, parse_version(end) if end else _ENDLESS)._filled(text)

    @classmethod
    def parse_package(cls, text: str) -> Versions:
        """A range of packages' versions with their format before it: ``deb >=11.3.0-1 <11.3.0-3+deb13u3``.

        :raises LabError: when the text is no such range, or no version is in it.
        """
        example = "deb >=11.3.0-1 <11.3.0-3+deb13u3"
        form, _, versions = text.partition(" ")
        if form not in {"deb", "rpm"}:
            raise LabError(f"'{text}' is not a range of packages' versions; write it like '{example}'")
        keys = [package_key(f"{form} {bound}") if bound else None for bound in _bounds(text, versions, example)]
        return cls(keys[0] or (form, -1), keys[1] or (form, _ENDLESS))._filled(text)

    def _filled(self, text: str) -> Versions:
        if self.empty:
            raise LabError(f"the range '{text}' has no version in it")
        return self

    def __contains__(self, version: Any) -> bool:
        return self.low <= version < self.end

    def __and__(self, other: Versions) -> Versions:
        return Versions(max(self.low, other.low), min(self.end, other.end))

    @property
    def empty(self) -> bool:
        return bool(self.low >= self.end)


def _bounds(text: str, versions: str, example: str) -> tuple[Optional[str], Optional[str]]:
    match = re.fullmatch(r"(?:>=(\S+))?\s*(?:<([^=\s]\S*))?", versions)
    if not match or not (match[1] or match[2]):
        raise LabError(f"'{text}' is not a range of versions; write it like '{example}'")
    return match[1], match[2]


@dataclass(frozen=True)
class Situation:
    """What cases run on: versions by role as libvirt and QEMU report them, as numbers (9.0.0 is 9000000), and the protocol
    that the oracle expects for the case, ``v2`` or ``v3``. A peer that the relay presents as older reports what it is.
    ``packages``: the packages' versions by the condition's name (``PACKAGES``), where the machines have packages."""

    libvirt: Mapping[str, int]
    qemu: Mapping[str, int]
    protocol: str
    packages: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Condition:
    """What an entry may ask for: the JSON schema of its value, the value in words, and who meets it."""

    schema: Mapping[str, Any]
    words: Callable[[Any], str]
    case: Callable[[Any, Case], bool] = lambda value, case: True
    situation: Callable[[Any, Situation], bool] = lambda value, situation: True


def _names(names: Iterable[str]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"enum": list(names)}}


def _patterns(words: str, axis: str) -> Condition:
    """Shell patterns of a case's place on an axis of its matrix. A case that does not have the axis meets none."""
    return Condition(
        {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"type": "string", "minLength": 1}},
        lambda patterns: f"{words} {' or '.join(patterns)}",
        lambda patterns, case: any(fnmatch.fnmatchcase(case.own_axes.get(axis, ""), pattern) for pattern in patterns),
    )


def _versions_text(versions: str) -> str:
    """``>=0.9.2 <1.3.0`` as ``from 0.9.2, below 1.3.0``."""
    return versions.replace(">=", "from ").replace(" <", ", below ").replace("<", "below ")


def _range(words: str, reported: Callable[[Situation], Mapping[str, int]], role: str) -> Condition:
    """A range of versions that are really reported. One that is not known meets no condition on it."""
    return Condition(
        {"type": "string"}, lambda versions: f"{words} {_versions_text(versions)}",
        situation=lambda versions, situation: reported(situation).get(role, -1) in versions,
    )


def _packages(words: str, name: str) -> Condition:
    """A range of packages' versions, of one format: the same number of libvirt's may misbehave in some revisions only."""

    def text(value: str) -> str:
        form, _, versions = value.partition(" ")
        return f"{words} {form} {_versions_text(versions)}"

    return Condition(
        {"type": "string"}, text,
        situation=lambda versions, situation: name in situation.packages and package_key(situation.packages[name]) in versions,
    )


def _suite_of(case: Case) -> str:
    return RECOVERY if "fault" in case.own_axes else CHAIN if "hops" in case.own_axes else MIGRATION


VERSIONS = {
    **{role: _range(role, lambda situation: situation.libvirt, role) for role in ROLES},
    REPLACES: _range("in place of", lambda situation: situation.libvirt, REPLACES),
    **{f"{role}_qemu": _range(f"QEMU of the {role}", lambda situation: situation.qemu, role) for role in SIDES},
}

PACKAGES = {
    **{f"{role}_package": _packages(f"package of the {role}", f"{role}_package") for role in ROLES},
    **{f"{role}_qemu_package": _packages(f"QEMU's package of the {role}", f"{role}_qemu_package") for role in SIDES},
}
RANGES = {**VERSIONS, **PACKAGES}


def reported_as(name: str) -> tuple[str, str]:
    """Of a condition in RANGES, the role whose machine reports the version, and the key of its answer."""
    role, *what = name.split("_")
    key = {"": "libvirt", "qemu": "hypervisor", "package": "libvirt_package", "qemu_package": "qemu_package"}["_".join(what)]
    return role, key


def parse_range(name: str, text: str) -> Versions:
    """The value of a condition in RANGES.

    :raises LabError: when it is not a range of what the condition is on.
    """
    return Versions.parse_package(text) if name in PACKAGES else Versions.parse(text)


def reported_packages(versions: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The packages' versions that machines have reported, by the condition's name, or what that would be of another role."""
    endings = {"libvirt_package": "package", "qemu_package": "qemu_package"}
    return {f"{role}_{ending}": told[key] for role, told in versions.items() for key, ending in endings.items() if key in told}


CONDITIONS: dict[str, Condition] = {
    **RANGES,
    # The one expected of the case, where a peer that the relay presents as old counts as old.
    "protocol": Condition(
        {"enum": ["v2", "v3"]}, lambda protocol: f"protocol {protocol}",
        situation=lambda protocol, situation: bool(protocol == situation.protocol),
    ),
    "method": Condition(
        _names(method.value for method in Method), lambda methods: f"method {' or '.join(methods)}",
        lambda methods, case: case.method.value in methods,
    ),
    "guest": Condition(
        {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"type": "string"}},
        lambda guests: f"guest {' or '.join(guests)}", lambda guests, case: case.guest in guests,
    ),
    "state": Condition(
        {"enum": [state.value for state in State]}, lambda state: f"guest {state}",
        lambda state, case: bool(case.scenario.state.value == state),
    ),
    "persistent": Condition(
        {"type": "boolean"}, lambda persistent: f"guest {'persistent' if persistent else 'transient'}",
        lambda persistent, case: case.scenario.persistent is persistent,
    ),
    "target_config": Condition(
        {"type": "boolean"}, lambda config: f"{'a' if config else 'no'} config on the target",
        lambda config, case: case.scenario.target_config is config,
    ),
    "flags": Condition(
        _names(MIGRATE_FLAGS), lambda flags: f"with flag {' and '.join(flags)}",
        lambda flags, case: set(flags) <= set(case.migrate_flags),
    ),
    "without_flags": Condition(
        _names(MIGRATE_FLAGS), lambda flags: f"without flag {' or '.join(flags)}",
        lambda flags, case: not set(flags) & set(case.migrate_flags),
    ),
    "suite": Condition(
        {"enum": [MIGRATION, RECOVERY, CHAIN]}, lambda suite: f"suite {suite}",
        lambda suite, case: bool(suite == _suite_of(case)),
    ),
    "point": _patterns("point", "point"),
    "fault": _patterns("fault", "fault"),
}

# Conditions that only a case of suite recovery can meet.
STRUCK = {"point", "fault"}


def conditions_text(when: Mapping[str, Any]) -> str:
    """The field ``when`` of an entry in words: ``source below 0.9.2, method p2p or tunnelled, guest paused``."""
    return ", ".join(condition.words(when[name]) for name, condition in CONDITIONS.items() if name in when)


@dataclass(frozen=True)
class Conditions:
    """When a deviation is expected: the value of each condition, by its name."""

    values: Mapping[str, Any]

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Conditions:
        """From the field ``when`` of an entry.

        :raises LabError: naming the field, when it is not a range of versions.
        """
        values = dict(data)
        for name in RANGES:
            if name in data:
                try:
                    values[name] = parse_range(name, data[name])
                except LabError as error:
                    raise LabError(f"when, {name}: {error}") from error
        return cls(values)

    def fits(self, case: Case) -> bool:
        """Whether the conditions on the case itself are met."""
        return all(CONDITIONS[name].case(value, case) for name, value in self.values.items())

    def met(self, case: Case, situation: Situation) -> bool:
        """Whether all conditions are met."""
        return self.fits(case) and all(CONDITIONS[name].situation(value, situation) for name, value in self.values.items())

    def possible(self, method: Method, other: Optional[Conditions] = None) -> bool:
        """Whether any versions and protocol meet these conditions, and the other ones too when given, for cases of a method."""
        sides = (self, other) if other else (self,)
        protocols = {side.values["protocol"] for side in sides if "protocol" in side.values}
        if len(protocols) > 1:
            return False
        for name in RANGES:
            ranges = [side.values[name] for side in sides if name in side.values] or [Versions()]
            common = ranges[0] & ranges[-1]
            # No real version below it speaks v3, while the relay can make any version speak v2.
            if "v3" in protocols and (name in SIDES or (name == "client" and method is Method.NORMAL)):
                common &= Versions(low=PROTOCOL_V3)
            if common.empty:
                return False
        return True
