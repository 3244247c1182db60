# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the README's pictures of the page from a run's own results: docs/images/matrix.png and matrix-dark.png, and of a recovery
run recovery.png and recovery-dark.png.

    make screenshot [ARGS=results/<run>]      (without a run: the newest)
"""

from __future__ import annotations

import sys
from pathlib import Path

from browser import chromium

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"

# In CSS pixels; two pixels of the picture each.
WIDTH, BELOW = 1280, 6


def main() -> None:
    """Picture the page of the named run, from its top to the end of the matrix, or of the first grid of points and faults."""
    if len(sys.argv) > 2:
        sys.exit("name one results folder, results/<run>, or none for the newest")
    pages = [Path(sys.argv[1]).resolve() / "index.html"] if len(sys.argv) == 2 else list(ROOT.glob("results/*/index.html"))
    found = [page for page in pages if page.is_file()]
    if not found:
        looked = pages[0] if pages else "results/*/index.html"
        sys.exit(f"there is no page of a run, {looked}; run the matrix, or make the report")
    page = max(found, key=lambda path: path.stat().st_mtime)
    IMAGES.mkdir(exist_ok=True)
    with chromium() as browser:
        browser.driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        for ending, dark in (("", False), ("-dark", True)):
            browser.look(WIDTH, dark=dark, scale=2)
            browser.open(page)
            # Of several combinations a recovery run's page shows the first.
            kind = browser.ask("return document.querySelector('.points') ? 'recovery' : 'matrix'")
            last = {"recovery": ".points", "matrix": ".matrix"}[kind]
            end = browser.ask("return document.querySelector(arguments[0]).getBoundingClientRect().bottom", last)
            browser.look(WIDTH, int(end) + BELOW, dark=dark, scale=2)
            picture = IMAGES / f"{kind}{ending}.png"
            browser.driver.save_screenshot(str(picture))
            print(f"{picture} from {page}")


if __name__ == "__main__":
    main()
