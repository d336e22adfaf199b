"""Lines in a browser: the right point, keys, legend, picked heads, files, one width and another."""

import csv
import io
import re

import numpy as np
import pytest

from vitprobe.report.document import html
from vitprobe.report.drawn import drawn
from vitprobe.report.kinds import Axis, Level, Lines, Series
from vitprobe.report.page import Page

HOSTILE = "<img src=x onerror=alert(1)>"
HEADS = [[4.0, 8.0, 12.0], [10.0, 2.0, 6.0]]
FIGURES = (
    Lines(
        "Heads",
        Axis("layer", ["a", "b", HOSTILE]),
        Axis("distance", low=0.0, high=16.0, unit="px"),
        [
            *(Series("one head", y, error=[0.5] * 3, group=str(k), line=False, colour=0)
              for k, y in enumerate(HEADS)),
            Series("mean", [7.0, np.nan, 9.0], error=[1.0] * 3, interval=2.0, colour=1),
        ],
        [Level("uniform", 15.0), Level("beyond", 20.0), Level("below", -9.0)],
        picks="head",
    ),
    Lines(
        "Sizes",
        Axis("parameters", log=True),
        Axis("ratio", log=True),
        [Series("x", [0.5, -1.0, 40.0], [1e3, 1e4, 1e6], low=[0.4, 0.1, 30.0],
                high=[0.6, 0.2, 50.0], dashed=True)],
        band="lowest to highest",
    ),
    Lines("Many", Axis("layer", [f"stage.{k}.conv" for k in range(60)]), Axis("CKA"),
          [Series(f"step {k}", np.linspace(0, k, 60)) for k in range(12)], ordered=True),
)  # fmt: skip


def page():
    section = {"name": "s", "title": "S", "asked": "", "findings": [], "results": []}
    section["figures"] = [drawn(figure) for figure in FIGURES]
    document = {"title": "lines", "version": "0", "command": "", "citation": "", "papers": []}
    return Page("lines", html(document | {"sections": [section]}, "0"))


def at(box, x, y):
    """Where a point of the first figure is: x of three names, y from 0 to 16, as its axes stand."""
    left, right, top, bottom = box
    return left + (x + 0.5) / 3 * (right - left), bottom - y / 16 * (bottom - top)


def inside(plot):
    """left, right, top, bottom of the area, from the rules at the ticks 0 and 16 (screen)."""
    rules = plot.locator("svg > line").evaluate_all(
        "all => all.map(l => [l.getBoundingClientRect(), l.getAttribute('stroke-opacity')])"
        ".filter(([, o]) => o === '0.12').map(([r]) => [r.left, r.right, r.top])"
    )
    left, right, _ = rules[0]
    heights = sorted(rule[2] for rule in rules)
    return left, right, heights[0], heights[-1]


def saved(tab, figure, name):
    with tab.expect_download() as waiting:
        figure.get_by_role("button", name=f"{name} of ").click()
    return waiting.value.path().read_bytes()


def test_lines_are_pointed_at_walked_along_picked_and_saved(opened):
    with opened(page(), width=700) as held:
        tab = held.page
        heads, sizes, many = (tab.locator("figure.lines").nth(k) for k in range(3))
        heads.locator("svg circle").first.wait_for()
        plot, said = heads.locator(".plot"), heads.locator(".readout")
        tab.mouse.move(*at(inside(plot), 1, 7.5))
        assert said.inner_text() == "head 0 · b · 8.00 ± 0.50 px"
        assert tab.locator(".tip").inner_text().split("\n") == ["head 0", "b", "8.00 ± 0.50 px"]
        tab.mouse.move(*at(inside(plot), 2, 9.1))
        assert said.inner_text() == f"mean · {HOSTILE} · 9.0 ± 1.0 px · 95 % interval 7 to 11 px"
        assert "bars: ± one standard error; bands: 95 % intervals" in heads.inner_text()
        paths = heads.locator("svg path").evaluate_all("all => all.map(p => p.getAttribute('d'))")
        assert [path.count("M") for path in paths] == [2]  # broken at the blank; bars, no band

        plot.focus()
        walked = {}
        for key in ("ArrowLeft", "ArrowDown", "Home", "ArrowUp", "End", "ArrowDown"):
            plot.press(key)
            walked[key] = said.inner_text()
        assert walked["ArrowLeft"].startswith("mean · a · 7.0") and walked["Home"].startswith(
            "head 0"
        )
        assert walked["ArrowUp"].startswith("mean · a") and walked["End"].startswith("mean · <img")
        assert walked["ArrowDown"].startswith("head 1 · <img src")
        assert tab.locator(".tip").is_visible()
        plot.press("Escape")
        assert tab.locator(".tip").is_hidden()

        heads.locator("select").select_option("1")
        paths = heads.locator("svg path").evaluate_all(
            "all => all.map(p => "
            "[p.getAttribute('d').split('L').length, p.getAttribute('stroke-width')])"
        )
        assert [3, "2.4"] in paths  # the picked head is a line
        tab.mouse.move(*at(inside(plot), 1, 7.5))
        assert said.inner_text().startswith("head 1 · b · 2.00")  # the others are not pointed at
        button = heads.get_by_role("button", name="one head")
        button.click()
        assert button.get_attribute("aria-pressed") == "false"
        assert (
            heads.locator(".plot circle").count() == 2
            and heads.locator(".legend button").count() == 2
        )

        rows = list(csv.reader(io.StringIO(saved(tab, heads, "CSV").decode())))
        assert rows[0][:5] == ["series", "head", "point", "layer", "distance (px)"]
        assert rows[1] == ["one head", "0", "a", "0", "4", "0.5", "3.5", "4.5"]
        assert rows[8] == ["mean", "", "b", "1", "", "1", "", ""] and len(rows) == 10
        svg = saved(tab, sizes, "SVG").decode()
        assert svg.startswith("<svg") and 'color="#1b1b1f"' in svg and ">Sizes</text>" in svg
        assert ">bands: lowest to highest</text>" in svg or ">bars: lowest to highest</text>" in svg
        assert "NaN" not in svg and "NaN" not in sizes.locator("svg").first.evaluate(
            "s => s.outerHTML"
        )
        assert saved(tab, many, "PNG").startswith(b"\x89PNG")

        sizes.locator(".plot").press("End")
        assert (
            sizes.locator(".readout").inner_text()
            == "x · parameters 1,000 · 0.500 · lowest to highest: 0.400 to 0.600"
        )
        colours = many.locator(".legend line").evaluate_all(
            "all => all.map(l => l.getAttribute('stroke'))"
        )
        assert len(set(colours)) == 12 and re.fullmatch(r"rgb\(\d+,\d+,\d+\)", colours[5])
        assert not held.errors and not held.fetched


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_fit_a_narrow_page(opened, scheme):
    with opened(page(), width=360, scheme=scheme) as held:
        tab = held.page
        tab.locator("figure.lines").nth(2).scroll_into_view_if_needed()
        tab.locator("figure.lines svg text").first.wait_for()
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360
        outside = tab.locator("figure.lines .plot svg").evaluate_all(
            "all => all.flatMap(s => [...s.querySelectorAll('text')].filter(t => {"
            "const [a, b] = [t.getBoundingClientRect(), s.getBoundingClientRect()];"
            "return a.left < b.left - 1 || a.right > b.right + 1 || a.bottom > b.bottom + 1; })"
            ".map(t => t.textContent))"
        )
        assert outside == []
        assert not held.errors
