# SPDX-License-Identifier: GPL-3.0-or-later
"""Completes a run's run.json: what was written at its start, with the results under the key ``results``."""

from __future__ import annotations

import json

from .seen_deviations import seen_deviations
from .summary import Run


def run_text(run: Run) -> str:
    """run.json as it is when the results are known. Everything in it comes from the journals, so a rebuilt one is the same."""
    results = {
        "finished": run.finished,
        "green": run.green,
        "summary": run.summary,
        "versions": run.class_versions,
        "counts": run.counts,
        "combinations": {combination.name: combination.to_data() for combination in run.combinations},
        "notices": list(run.notices.values()),
        "deviations": [deviation.to_data() for deviation in seen_deviations(run)],
        "failures": [failure.to_data() for failure in run.failures],
    }
    return json.dumps({**run.data, "results": results}, indent=2) + "\n"
