"""Stacks in a browser: the right cell, the right image, keys, files; galleries."""

import csv
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from matplotlib import colormaps

from vitprobe.report.document import html
from vitprobe.report.drawn import drawn
from vitprobe.report.kinds import Dim, Gallery, Mark, Stack
from vitprobe.report.page import Page

expect = pytest.importorskip("playwright.sync_api").expect

HOSTILE = "<img src=x onerror=document.title='ran'>"
LAYERS = ["blocks.0.attn", "blocks.1.attn", HOSTILE]
WHAT = ["mean", "head 0"]


def stack(**more) -> Stack:
    """values[layer, what, i, j] = 100 layer + 10 what + i + j / 10, one blank cell."""
    layer, what, i, j = np.meshgrid(*(np.arange(n) for n in (3, 2, 4, 5)), indexing="ij")
    values = 100.0 * layer + 10 * what + i + j / 10
    values[1, 0, 2, 3] = np.nan
    dims = [Dim("layer", LAYERS, slider=True, start=1), Dim("map", WHAT)]
    pictures = np.full((1, 8, 10, 3), 200, np.uint8)
    said = np.array([[f"said {k} {w}" for w in range(2)] for k in range(3)], object)
    given = {"error": np.full(values.shape, 0.25), "unit": "share", "limits": (0.0, None)}
    given |= {"said": said, "pictures": pictures, "opacity": 1.0}
    return Stack("known", dims, values, **(given | more))


def page_of(*kinds) -> Page:
    section = {"name": "known", "title": "known", "asked": "", "findings": [], "results": []}
    section["figures"] = [drawn(kind) for kind in kinds]
    document = {"title": "known", "command": "", "citation": "", "version": "0", "papers": []}
    return Page("known", html({**document, "sections": [section]}, "0"))


def spot(page, row, column, rows=4, columns=5):
    """Where the middle of a cell is on the screen."""
    box = page.locator(".cells").first.bounding_box()
    return (
        box["x"] + (column + 0.5) / columns * box["width"],
        box["y"] + (row + 0.5) / rows * box["height"],
    )


READ = """([selector, n, row, column]) => {
  const copy = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  copy.drawImage(document.querySelectorAll(selector)[n], 0, 0);
  return [...copy.getImageData(column, row, 1, 1).data];
}"""


def painted(page, row, column, selector=".cells canvas", n=0):
    """The colour of a cell of an image: (red, green, blue, opacity)."""
    return page.evaluate(READ, [selector, n, row, column])


def file_of(page, name):
    with page.expect_download() as waiting:
        page.get_by_role("button", name=f"{name} of known").first.click()
    return waiting.value.path().read_text()


@pytest.fixture
def shown(opened):
    with opened(page_of(stack())) as held:
        held.page.locator(".cells").wait_for()
        yield held
        assert held.errors == [] and held.fetched == [] and held.page.title() == "known"


def test_pointer_and_keys_read_the_cell(shown):
    page, tip, line = shown.page, shown.page.locator(".tip"), shown.page.locator(".readout")
    page.locator(".cells").scroll_into_view_if_needed()
    page.mouse.move(*spot(page, 3, 1))
    assert tip.locator("div").all_inner_texts() == ["row 3, column 1", "share 103.10 ± 0.25"]
    page.mouse.move(*spot(page, 2, 3))
    assert tip.locator("div").all_inner_texts() == ["row 2, column 3", "no value"]
    page.mouse.move(0, 0)
    assert tip.is_hidden()
    page.locator(".cells").focus()
    for key in ("ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)  # the first one starts in the middle; the edge holds
    assert line.inner_text() == "blocks.1.attn, mean · row 1, column 0 · share 101.00 ± 0.25"
    page.keyboard.press("Escape")
    assert tip.is_hidden()


def test_slider_list_and_small_images_choose(shown):
    page, names = shown.page, shown.page.locator(".said strong")
    colour = [round(255 * part) for part in colormaps["magma"](int(256 * 102.1 / 103.4))[:3]]
    assert painted(page, 2, 1) == [*colour, 255] and painted(page, 2, 3)[3] == 0
    slider = page.get_by_role("slider", name="layer")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(names).to_have_text(f"{HOSTILE}, mean")
    assert slider.get_attribute("aria-valuetext") == HOSTILE
    page.get_by_role("combobox", name="map").select_option("head 0")
    expect(page.locator(".said span").first).to_have_text("said 2 1")
    page.get_by_role("button", name="blocks.0.attn").click()
    expect(names).to_have_text("blocks.0.attn, head 0")
    assert slider.input_value() == "0"
    assert painted(page, 3, 4)[:3] == [round(255 * part) for part in colormaps["magma"](255)[:3]]
    page.get_by_role("slider", name="map over the image").fill("30")
    assert page.locator(".cells canvas").evaluate("canvas => canvas.style.opacity") == "0.3"


def test_files_hold_what_is_shown(shown):
    page = shown.page
    rows = list(csv.reader(file_of(page, "CSV").splitlines()))
    assert rows[0] == ["layer", "map", "row", "column", "share", "standard error"]
    assert len(rows) == 21
    assert rows[1 + 5 * 3 + 1][:4] == ["blocks.1.attn", "mean", "3", "1"]
    assert float(rows[1 + 5 * 3 + 1][4]) == pytest.approx(103.1, abs=1e-4)
    assert rows[1 + 5 * 2 + 3][4:] == ["", "0.25"]
    svg = ElementTree.fromstring(file_of(page, "SVG"))
    images = svg.findall(".//{*}image")
    assert len(images) == 2 and all(
        each.get("href").startswith("data:image/png") for each in images
    )
    texts = [each.text for each in svg.findall(".//{*}text")]
    assert "known" in texts and "blocks.1.attn, mean" in texts and "share" in texts
    assert svg.find(".//{*}pattern") is not None  # of the blank


def test_phone_grid_scales_and_gallery(opened):
    """At 360 px nothing is wider than the page; a grid's tiles are at their places."""
    i, j = np.meshgrid(np.arange(4.0), np.arange(5.0), indexing="ij")
    tokens = np.stack([(i + k) / (j + 1) for k in range(7)])
    names = [f"row {k // 3}, column {k % 3}" for k in range(6)] + ["class token"]
    grid = Stack(
        "tokens", [Dim("token", names, start=4, columns=3)], tokens, limits=(0.1, 10.0),
        scale="log", centred=True, marks=[[Mark(1.5, 2.5, 1, 1)]] * 6 + [[]],
    )  # fmt: skip
    one = Stack("one", [], tokens[0], scale="root", marks=[[Mark(2, 2, 3, 3, round=True)]])
    pictures = np.zeros((3, 4, 6, 1), np.uint8)
    pictures[1] = 255
    items = Gallery("items", pictures, ["first\nmore", HOSTILE, ""], "rank")
    with opened(page_of(grid, one, items), width=360) as held:
        page = held.page
        page.get_by_role("button", name="row 1, column 0").click()
        tile = [
            page.get_by_role("button", name=f"row {row}, column {column}").bounding_box()
            for row, column in ((0, 0), (1, 0), (0, 1))
        ]
        assert tile[0]["x"] == tile[1]["x"] and tile[0]["y"] == tile[2]["y"] < tile[1]["y"]
        expect(page.locator(".said strong").first).to_have_text("row 1, column 0")
        # 1 is in the middle of 0.1 ... 10
        middle = [round(255 * part) for part in colormaps["RdBu_r"](128)[:3]]
        assert painted(page, 0, 2)[:3] == middle
        assert page.locator(".cells").first.locator("svg rect").count() == 2  # a mark, twice drawn
        page.get_by_role("button", name="class token").click()
        expect(page.locator(".cells").first.locator("svg rect")).to_have_count(0)
        page.locator("figure.gallery li").last.scroll_into_view_if_needed()
        expect(page.locator(".cells ellipse")).to_have_count(2)
        assert page.locator("figure.gallery li").nth(1).inner_text() == HOSTILE
        assert page.get_by_role("img", name="rank 1, first, more").count() == 1
        seen = [painted(page, 0, 0, "ul.items canvas", n)[0] for n in range(3)]
        assert seen == [0, 255, 0]
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert held.errors == [] and held.fetched == []
