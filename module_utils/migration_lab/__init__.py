# SPDX-License-Identifier: GPL-3.0-or-later
"""The logic of the libvirt migration compatibility lab. docs/architecture.md has its packages and which may import which.

Imports inside the package are relative: Ansible ships it as ``ansible.module_utils.migration_lab``, tests import
``migration_lab``.
"""
