# SPDX-License-Identifier: GPL-3.0-or-later
"""A release that takes its packages from several suites: apt's lines and pins for them, and whether they have what it says."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Optional, Sequence

from ..model.errors import LabError
from ..model.version import parse_version
from .packages import apt_errors, offered_packages, simulate

# Above the 500 of ordinary suites, below the 1000 from which on apt installs older versions over newer ones.
PRIORITY = 990

# The tool's own lines for a suite: its mirror, and for a stable one the updates and security suites that go with it.
_ASK_DEFAULT = (
    "mmdebstrap", "--quiet", "--variant=custom", "--format=null", "--skip=update,cleanup",
    '--setup-hook=cat "$1/etc/apt/sources.list" >&2',
)
# What apt says, and what that means for the entry.
_EXPLAINED = (
    (
        r"E: The repository '(\S+) (\S+) Release' does not have a Release file",
        r"\1 has no suite \2; correct 'suite', or set a 'mirror' that has it",
    ),
    (
        r"E: Release file for (\S+) is expired \(invalid since ([^)]*)\).*",
        r"\1 is expired since \2; set 'expired: true' for that suite if you mean to use what does not change any more",
    ),
    (
        r"E: The repository '(\S+) (\S+) (?:In)?Release' is not signed",
        r"the lab host's keys do not verify suite \2 of \1; set its 'keyring'",
    ),
    (r"E: Unable to locate package (.*)", r"none of its suites has the package \1; correct 'packages', or add a source with it"),
)
_VERSION_GONE = re.compile(r"E: Version .(?P<version>\S+). for .(?P<package>\S+). was not found")

Default = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class Sources:
    """Where a release's packages come from: lines as in apt's sources.list, and the text of its preferences."""

    lines: tuple[str, ...]
    preferences: str


def default_lines(suite: str) -> list[str]:
    """The lines that mmdebstrap takes a suite from when it is given no mirror.

    :raises LabError: when it does not know any.
    """
    done = subprocess.run([*_ASK_DEFAULT, suite, "/dev/null"], capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("deb ")]
    if done.returncode or not lines:
        raise LabError(f"mmdebstrap has no mirror of its own for suite {suite} ({done.stderr.strip()}); set 'mirror'")
    return lines


def resolve_sources(release: Mapping[str, Any], default: Default = default_lines) -> Sources:
    """The lines and pins of a release: its own suite's first, then those of its ``sources``.

    :param release: the recipe, as ``recipe.resolve_release`` returns it.
    :param default: the lines of a suite that has no mirror set.
    """
    lines: list[str] = []
    pins: list[str] = []
    for source in (release, *release["sources"]):
        found = _lines(source, default)
        lines += found
        # The release's own ``packages`` are what it installs, not what shall come from its suite.
        if source is not release and source.get("packages"):
            suites = dict.fromkeys(_suite(line) for line in found)
            pins += [_pin(source, key, suite) for suite in suites for key in ("n", "a")]
    return Sources(tuple(lines), "\n".join(pins))


def _lines(source: Mapping[str, Any], default: Default) -> list[str]:
    mirror = re.sub("^(file://)?/", "copy:///", source.get("mirror", ""))  # so that apt inside the root has the packages too
    components = " ".join(source.get("components", ["main"]))
    lines = [f"deb {mirror} {source['suite']} {components}"] if mirror else list(default(source["suite"]))
    options = {}
    if source.get("keyring"):
        options["signed-by"] = source["keyring"]
    if source.get("expired"):
        options["check-valid-until"] = "no"
    return [_with_options(line, options) for line in lines]


def _with_options(line: str, options: Mapping[str, str]) -> str:
    """The line with further options, which take the place of its own of the same names."""
    own, rest = _parts(line)
    merged = {**dict(re.findall(r'(\S+?)=("[^"]*"|\S+)', own)), **options}
    return f"deb [{' '.join(f'{name}={value}' for name, value in merged.items())}] {rest}" if merged else line


def _suite(line: str) -> str:
    return _parts(line)[1].split()[1]


def _parts(line: str) -> tuple[str, str]:
    """The options of a line, and what comes after them."""
    match = re.match(r"deb (?:\[([^]]*)\] )?(.*)", line)
    assert match
    return match[1] or "", match[2]


def _pin(source: Mapping[str, Any], key: str, suite: str) -> str:
    """A pin by codename (``n``) or by the suite's other name (``a``): apt takes the one that its Release file has."""
    priority = source.get("priority", PRIORITY)
    return f"Package: {' '.join(source['packages'])}\nPin: release {key}={suite}\nPin-Priority: {priority}\n"


def check_sources(release: Mapping[str, Any], sources: Sources, command: Sequence[str]) -> None:
    """Ask a release's suites what would be installed, and compare its libvirt and QEMU with what the release says.

    :param release: the recipe, with its ``name``.
    :param command: mmdebstrap with all options of the build, the suite and the target; the lines come after it.
    :raises LabError: what is not to be had, and what to do about it.
    """
    status, output = simulate([*command, *sources.lines], sources.preferences)
    offered = offered_packages(output)
    cannot = f"release '{release['name']}' cannot be built"
    if status or not offered:
        raise LabError(f"{cannot}: {_explain(output, command, sources)}")
    wrong = []
    library = _upstream(offered.get("libvirt0"))
    if library and parse_version(library) != parse_version(release["libvirt"]):
        wrong.append(f"libvirt {library} (libvirt0 {offered['libvirt0']}), not {release['libvirt']}")
    emulator = next((name for name in sorted(offered) if name.startswith("qemu-system-")), "")
    qemu = _upstream(offered.get(emulator))
    if qemu and f"{qemu}.".split(".")[:2] != release["qemu"].split("."):
        wrong.append(f"QEMU {qemu} ({emulator} {offered[emulator]}), not {release['qemu']}")
    if wrong:
        raise LabError(
            f"{cannot}: from its suites apt would install {' and '.join(wrong)}; correct the versions of the entry, or name in a "
            "source's 'packages' all that shall come from that suite"
        )


def _upstream(version: Optional[str]) -> str:
    """The numbers of a package's version that are its maker's: 11.1.3 of 1:11.1.3+ds-1."""
    match = re.match(r"(?:\d+:)?(\d+(?:\.\d+)+)", version or "")
    return match[1] if match else ""


def _explain(output: str, command: Sequence[str], sources: Sources) -> str:
    gone = _VERSION_GONE.search(output)
    if gone:
        versions = _versions(gone["package"], command, sources)
        has = f"they have {', '.join(versions)}" if versions else "they have no version of it"
        return (
            f"none of its suites has {gone['package']} in version {gone['version']}; {has}: correct 'packages', or add a source, "
            "such as a snapshot, that has it"
        )
    for pattern, meaning in _EXPLAINED:
        match = re.search(pattern, output)
        if match:
            return match.expand(meaning)
    unmet = re.search(r"unmet dependencies:\n((?: .*\n)+)", output)
    if unmet:
        needs = "; ".join(" ".join(line.split()) for line in unmet[1].splitlines())
        return f"its packages do not fit together: {needs}; add what is missing to the 'packages' of the source that has it"
    return f"{apt_errors(output) or 'mmdebstrap named no package'}; check that its mirrors are reachable"


def _versions(package: str, command: Sequence[str], sources: Sources) -> list[str]:
    """The versions of a package that the suites have, each with its suite."""
    options = [word for word in command[1:] if word.startswith(("--aptopt=", "--keyring=", "--architectures="))]
    hook = f"--customize-hook=APT_CONFIG=\"$MMDEBSTRAP_APT_CONFIG\" apt-cache madison '{package}' >&2"
    done = subprocess.run(
        [command[0], "--quiet", "--variant=custom", "--format=null", *options, hook, command[-2], "/dev/null", *sources.lines],
        capture_output=True, text=True, check=False,
    )
    found = re.findall(rf"^\s*{re.escape(package)} \| (\S+) \| \S+ ([^\s/]+)/", done.stderr, re.MULTILINE)
    return list(dict.fromkeys(f"{version} ({suite})" for version, suite in found))
