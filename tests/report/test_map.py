"""Maps in a browser: the right pair, the right numbers, keys, a fixed row, differences, files."""

import csv
import io
import re

import numpy as np
import pytest
import xarray as xr

import vitprobe

ROWS = ["stem", "blocks.0.attn", "blocks.0", "blocks.1.attn", "blocks.1", "head"]
COLUMNS = ["conv1", "layer1.0", "layer1.1", "fc"]
BLOCKS = [
    ["", "blocks.0", "blocks.0", "blocks.1", "blocks.1", ""],
    ["", "layer1.0", "layer1.1", ""],
]


def known(shift=0.0, **attrs) -> xr.Dataset:
    """cka[i, j] = (i + 10 j) / 100, with a null and one blank row."""
    i, j = np.meshgrid(np.arange(6.0), np.arange(4.0), indexing="ij")
    cka = (i + 10 * j) / 100 + 0.4 + shift
    cka[5] = np.nan
    dims = ("layer_a", "layer_b")
    result = xr.Dataset(
        {
            "cka": (dims, cka),
            "cka_se": (dims, 0.001 * (1 + i)),
            "null_line": (dims, 0.40 + 0.01 * j),
            "p_value": (dims, np.where(j > 1, 1 / 201, 0.1)),
        },
        {
            "layer_a": ROWS,
            "layer_b": COLUMNS,
            "block_a": ("layer_a", BLOCKS[0]),
            "block_b": ("layer_b", BLOCKS[1]),
            "blank_a": ("layer_a", [*[""] * 5, "constant activations"]),
        },
    )
    facts = {"analysis": "cka", "model_a": "vit", "model_b": "resnet18", "estimator": "unbiased"}
    facts |= {"dataset": "digits", "se_df": 7.0, "null_alpha": 0.05, "batches": 8}
    result.attrs = facts | attrs
    return result


def cell(page, row, column):
    """Where the middle of a cell is on the screen."""
    page.locator(".plot").first.scroll_into_view_if_needed()
    box = page.locator(".plot canvas").first.bounding_box()
    across, up = box["width"] / len(COLUMNS), box["height"] / len(ROWS)
    return (
        box["x"] + (COLUMNS.index(column) + 0.5) * across,
        box["y"] + box["height"] - (ROWS.index(row) + 0.5) * up,
    )


def saved(page, name):
    with page.expect_download() as waiting:
        page.get_by_role("button", name=name, exact=False).first.click()
    return waiting.value.path().read_bytes()


def test_a_known_map(opened):
    """One page: what is pointed at, typed, clicked, chosen and saved is what the result holds."""
    with opened(vitprobe.page(known(), known(0.05, estimator="biased"))) as held:
        page = held.page
        plot = page.locator(".plot").first
        readout = page.locator("figure > .readout").first
        plot.wait_for()

        page.mouse.move(*cell(page, "blocks.1", "layer1.1"))
        tip = page.locator(".tip")
        said = "blocks.1 × layer1.1\nCKA, unbiased 0.6400 ± 0.0050\n"
        assert tip.inner_text() == said + "chance exceeds 0.420 in 5 % of cases; p = 0.005"
        assert readout.inner_text() == said.replace("\n", " · ") + tip.inner_text().splitlines()[-1]
        page.mouse.move(*cell(page, "head", "fc"))
        assert "blank, constant activations" in tip.inner_text()
        page.mouse.move(5, 5)
        assert tip.is_hidden()

        plot.focus()
        for key, names in (
            ("ArrowRight", "stem × conv1"),  # the first key shows where one is
            ("ArrowRight", "stem × layer1.0"),
            ("ArrowUp", "blocks.0.attn × layer1.0"),
            ("End", "blocks.0.attn × fc"),
            ("ArrowRight", "blocks.0.attn × fc"),
            ("PageUp", "head × fc"),
        ):
            page.keyboard.press(key)
            assert readout.inner_text().startswith(names + " · "), key

        page.mouse.click(*cell(page, "blocks.0", "conv1"))
        profile = page.locator(".profile").first
        assert "blocks.0 of vit, against the layers of resnet18" in profile.inner_text()
        assert profile.locator("svg").count()
        plot.focus()
        page.keyboard.press("Escape")
        assert not profile.inner_text()

        circles = page.locator(".plot svg circle").first.locator("xpath=..").locator("circle")
        assert circles.count() == 1  # stem with conv1: 0.40, chance 0.40

        page.get_by_label("blocks alone").first.check()
        page.wait_for_function("document.querySelector('.plot canvas').width > 0")
        labels = page.locator(".plot svg").first.locator("text").all_text_contents()
        assert "blocks.0" in labels and "blocks.0.attn" not in labels
        page.get_by_label("blocks alone").first.uncheck()

        page.get_by_label("minus").first.select_option(label="CKA, biased")
        page.mouse.move(*cell(page, "blocks.1", "layer1.1"))
        page.wait_for_function("document.querySelector('.tip').innerText.includes('difference')")
        assert "difference −0.0500 ± 0.0071" in tip.inner_text()

        page.get_by_label("minus").first.select_option(label="nothing")
        page.get_by_label("quantity").first.select_option(index=1)
        page.mouse.move(*cell(page, "blocks.1", "layer1.1"))
        page.wait_for_function("document.querySelector('.tip').innerText.includes('above chance')")
        assert f"{(0.64 - 0.42) / (1 - 0.42):.3f}" in tip.inner_text()
        page.get_by_label("quantity").first.select_option(index=0)

        rows = list(csv.reader(io.StringIO(saved(page, "CSV of vit and resnet18").decode())))
        assert len(rows) == 1 + 24 and rows[0][:3] == ["vit", "resnet18", rows[0][2]]
        table = {(row[0], row[1]): row[2:] for row in rows[1:]}
        assert float(table["blocks.1", "fc"][0]) == pytest.approx(0.74, abs=1e-6)
        assert table["head", "fc"][0] == ""
        drawing = saved(page, "SVG of vit and resnet18").decode()
        assert drawing.startswith("<svg") and "blocks.0.attn" in drawing
        assert "data:image/png;base64," in drawing
        assert saved(page, "PNG of vit and resnet18").startswith(b"\x89PNG")

        assert not held.errors and not held.fetched


def test_zoom(opened):
    """Keys and the wheel show fewer cells; what is pointed at is still right; all comes back."""
    with opened(vitprobe.page(known())) as held:
        page = held.page
        plot = page.locator(".plot").first
        plot.focus()
        names = lambda: page.locator(".plot svg").first.locator("text").all_text_contents()  # noqa: E731
        assert "head" in names() and "fc" in names()
        page.keyboard.press("ArrowUp")  # stem with conv1
        page.keyboard.press("+")
        assert "stem" in names() and "head" not in names()
        box = page.locator(".plot canvas").first.bounding_box()
        page.mouse.move(box["x"] + 5, box["y"] + box["height"] - 5)
        assert page.locator(".tip").inner_text().startswith("stem × conv1\n")
        page.mouse.wheel(0, 3000)
        page.wait_for_function(
            "[...document.querySelectorAll('.plot svg text')].some(t => t.textContent == 'head')"
        )
        page.keyboard.press("+")
        page.keyboard.press("0")
        assert "head" in names() and not held.errors


def test_twenty_maps_of_300_layers_are_under_10_mb():
    """Values and errors, which are noise: the worst case for what makes them small."""
    rng = np.random.default_rng(0)
    names = [f"blocks.{k // 12}.part{k % 12}" for k in range(300)]
    results = []
    for k in range(20):
        values = rng.random((300, 300))
        variables = {"cka": (("layer_a", "layer_b"), values)}
        variables["cka_se"] = (("layer_a", "layer_b"), 0.002 + 0.02 * rng.random((300, 300)))
        result = xr.Dataset(variables, {"layer_a": names, "layer_b": names})
        result.attrs = {"analysis": "cka", "model_a": f"a{k}", "model_b": f"b{k}", "se_df": 7.0}
        results.append(result)
    page = vitprobe.page(*results)
    assert 5e6 < len(page.html) < 10e6
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page.html)
