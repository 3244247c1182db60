# SPDX-License-Identifier: GPL-3.0-or-later
"""The option that a module which works on a cell takes (``cell.machine.CELL_ARGUMENT``)."""

from __future__ import annotations


class ModuleDocFragment:
    """Documents ``machines``."""

    DOCUMENTATION = r"""
options:
  machines:
    description: The cell's machines by role.
    type: dict
    required: true
    suboptions:
      client: &machine
        description: The machine of that role. A client has no daemon and needs only the first three.
        type: dict
        required: true
        suboptions: &suboptions
          name: {description: Name of the machine., type: str, required: true}
          exec: {description: What to put before a command to run it there., type: list, elements: str, required: true}
          python: {description: Its Python interpreter with a libvirt binding., type: str, required: true}
          uri: {description: Where its daemon answers., type: str}
          daemon:
            description: Command that takes V(restart) and V(status); both print daemons, a name and a process number a line.
            type: list
            elements: str
          logs: {description: The folder with the log of each daemon there., type: str}
          address: {description: Its address in the cell's network., type: str}
          namespace:
            description: Command that prints the path of its network namespace on the lab host, if it has one of its own.
            type: list
            elements: str
          shortcut: {description: Command that prints a quicker C(exec) for the same., type: list, elements: str}
          replacement: {description: Version of the libvirt that can take the place of its own., type: str}
      source: *machine
      target: *machine
      third: &further
        description: A machine to which guests go on; only where the suite asks for one.
        type: dict
        suboptions: *suboptions
      fourth: *further
"""
