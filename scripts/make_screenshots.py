"""Take the README's pictures of the dashboard: `python scripts/make_screenshots.py LINK`.

LINK is the link that `make up` prints. Let the stack run for some minutes first, so that the pages have data. Needs
Chromium (Debian: apt-get install chromium).
"""

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "img"
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 780}
# File name, path, color scheme, size, and a selector that matches once the page has its data.
SHOTS = (
    ("now", "/", "dark", DESK, ".signal-strip .signal:nth-child(4) .line[d]"),
    ("now-phone", "/", "light", PHONE, ".signal-strip .signal .line[d]"),
    ("post", "{post}", "light", DESK, "canvas"),
    ("analytics", "/analytics", "light", DESK, "canvas"),
    ("subreddits", "/subreddits", "light", DESK, "tr[data-name]"),
    ("operations", "/operations", "dark", DESK, ".health"),
)
# The page computes throughput from two answers of the workers, and live rows take some seconds to arrive.
SETTLE_MS = 9_000


def take(browser: Browser, link: str) -> None:
    """Take all pictures. The link works only once."""
    signing_in = browser.new_context()
    page = signing_in.new_page()
    page.goto(link)
    # A post that takes off has some history, or it would not be told.
    told = page.locator(".signal-strip a[href^='/posts/']").first
    told.wait_for()
    base = page.url.rstrip("/")
    post = told.get_attribute("href")
    state = signing_in.storage_state()
    for name, path, scheme, size, ready in SHOTS:
        context = browser.new_context(
            storage_state=state,
            viewport=size,  # type: ignore[arg-type]
            color_scheme=scheme,  # type: ignore[arg-type]
            locale="en-GB",
        )
        page = context.new_page()
        page.goto(base + path.format(post=post))
        page.locator(ready).first.wait_for()
        page.wait_for_timeout(SETTLE_MS)
        page.screenshot(path=IMAGES / f"{name}.png")
        context.close()


def main() -> int:
    """Exit status: 0 done, 1 no Chromium, 2 no link."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("no Chromium here; Debian has it: apt-get install chromium", file=sys.stderr)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        take(browser, sys.argv[1])
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
