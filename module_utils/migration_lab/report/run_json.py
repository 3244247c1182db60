# SPDX-License-Identifier: GPL-3.0-or-later
"""Completes a run's run.json: what was written at its start, with the results under the key ``results``."""

from __future__ import annotations

import json
from typing import Optional

from ..results.comparison import Comparison
from ..results.run import Run
from ..results.seen_deviations import seen_deviations


def run_text(run: Run, line: str, comparison: Optional[Comparison] = None) -> str:
    """run.json as it is when the results are known.

    Everything in it comes from the journals, this run's and the base's, so that one that is made again with the same base is
    the same.

    :param line: the run in a line.
    :param comparison: with the base; None when there is none.
    """
    results = {
        "finished": run.finished,
        "green": run.green,
        "summary": run.summary,
        "line": line,
        "versions": run.class_versions,
        "counts": run.counts,
        "combinations": {combination.name: combination.to_data() for combination in run.combinations},
        "notices": list(run.notices.values()),
        "deviations": [deviation.to_data() for deviation in seen_deviations(run)],
        "failures": [failure.to_data() for failure in run.failures],
        "comparison": comparison.to_data() if comparison else None,
    }
    return json.dumps({**run.data, "results": results}, indent=2) + "\n"
