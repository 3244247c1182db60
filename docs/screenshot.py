# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the README's pictures of the page, docs/images/matrix.png and matrix-dark.png, from a run's own results.

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
    """Picture the page of the named run, from its top to the end of the matrix."""
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
        for name, dark in (("matrix.png", False), ("matrix-dark.png", True)):
            browser.look(WIDTH, dark=dark, scale=2)
            browser.open(page)
            end = browser.ask("return document.querySelector('.matrix').getBoundingClientRect().bottom")
            browser.look(WIDTH, int(end) + BELOW, dark=dark, scale=2)
            browser.driver.save_screenshot(str(IMAGES / name))
            print(f"{IMAGES / name} from {page}")


if __name__ == "__main__":
    main()
