"""Pictures of a page of results, by a browser without a window (Chromium, playwright)."""

import shutil
from dataclasses import dataclass
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Screen:
    """width, height: pixels. scheme: light or dark. at: what is scrolled to, a selector of CSS.
    fix: the place in the first map from there, as shares of its width and height, that is clicked
    and pointed at."""

    width: int = 1180
    height: int = 760
    scheme: str = "light"
    at: str = ""
    fix: tuple[float, float] | None = None


def take(page: Path, picture: Path, screen: Screen) -> None:
    """Write the picture of the page."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, NAMES)), None)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        size = {"width": screen.width, "height": screen.height}
        tab = browser.new_page(viewport=size, color_scheme=screen.scheme, device_scale_factor=2)
        tab.goto(page.resolve().as_uri())
        for _ in range(3):  # what is drawn on the way moves what follows
            if screen.at:
                tab.locator(screen.at).first.evaluate("element => element.scrollIntoView()")
            tab.wait_for_timeout(700)
        if screen.fix is not None:
            box = tab.locator(f"{screen.at} .plot canvas").first.bounding_box()
            x = box["x"] + screen.fix[0] * box["width"]
            y = box["y"] + screen.fix[1] * box["height"]
            tab.mouse.click(x, y)
            tab.wait_for_timeout(400)
            tab.mouse.move(x + 1, y)
            tab.wait_for_timeout(200)
        tab.screenshot(path=picture)
        browser.close()
