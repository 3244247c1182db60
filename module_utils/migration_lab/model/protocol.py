# SPDX-License-Identifier: GPL-3.0-or-later
"""Migration protocols."""

from __future__ import annotations

from .version import parse_version

# The release that brought migration protocol v3 (driver feature VIR_DRV_FEATURE_MIGRATION_V3).
PROTOCOL_V3 = parse_version("0.9.2")
