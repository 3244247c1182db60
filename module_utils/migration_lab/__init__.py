# SPDX-License-Identifier: GPL-3.0-or-later
"""The logic of the libvirt migration compatibility lab.

Modules below ``library/`` are thin and import from here.  All of this package is standard library only, except
``catalogue`` and ``results``, which run on the controller and may use what requirements.txt installs there.
Imports inside the package are relative: Ansible ships it as ``ansible.module_utils.migration_lab``, tests import
``migration_lab``.
"""
