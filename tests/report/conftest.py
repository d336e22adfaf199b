"""A browser without a window, and pages opened in it: what they say, and whom they ask."""

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module

import paper_work
import pytest
import xarray as xr

import vitprobe

NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Opened:
    """page: of playwright. errors: what it wrote to its console, or raised. asked: addresses."""

    page: object
    errors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def fetched(self) -> list[str]:
        """What the page asked for outside itself."""
        return [url for url in self.asked if not url.startswith(("file:", "data:", "blob:"))]


@pytest.fixture(scope="session")
def browser():
    """Chromium; a test is skipped where there is none, unless $VITPROBE_TEST_BROWSER demands it."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if os.environ.get("VITPROBE_TEST_BROWSER"):
        playwright = import_module("playwright.sync_api")
    elif found is None:
        pytest.skip("no Chromium here")
    else:
        playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def opened(browser, tmp_path):
    """opened(page, width=, scheme=) opens a page of vitprobe from disk; closed afterwards."""

    @contextmanager
    def open_page(page, width=1100, height=900, scheme="light", **options):
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, **options
        )
        tab = context.new_page()
        held = Opened(tab)
        tab.on("console", lambda said: held.errors.append(said.text))
        tab.on("pageerror", lambda error: held.errors.append(str(error)))
        tab.on("request", lambda request: held.asked.append(request.url))
        tab.goto(page.save(tmp_path / "page.html").as_uri())
        yield held
        context.close()

    return open_page


@pytest.fixture(scope="session")
def small_results():
    """Of every analysis of a small transformer and a small CNN, as `vitprobe.paper` makes them."""
    found = [each for each in paper_work.paper(count=24) if isinstance(each, xr.Dataset)]
    of = (paper_work.vit(), paper_work.images(2))
    return [*found, vitprobe.maps(*of), vitprobe.features(*of)]
