"""axe-core finds no serious fault: names and roles for who listens, contrast for who reads."""

from importlib.resources import files

import pytest

import vitprobe

SERIOUS = ("serious", "critical")


def test_nobody_is_shut_out(small_results, opened):
    """With every figure drawn, in light; in dark the contrast."""
    pytest.importorskip("axe_playwright_python")
    axe = files("axe_playwright_python") / "axe.min.js"
    of_each = {each.attrs["analysis"]: each for each in small_results}
    page = vitprobe.page(*of_each.values(), title="A small transformer and a CNN")
    # its own policy would not let the checks in
    with opened(page, bypass_csp=True) as held:
        tab = held.page
        tab.wait_for_selector("section")
        tab.evaluate("dispatchEvent(new Event('beforeprint'))")
        tab.locator(".later").first.wait_for(state="detached")
        tab.locator("details").first.evaluate("each => (each.open = true)")
        tab.locator("details.provenance").first.evaluate("each => (each.open = true)")
        tab.add_script_tag(path=str(axe))
        assert faults(tab, {}) == {}
        tab.emulate_media(color_scheme="dark")
        assert faults(tab, {"runOnly": ["color-contrast"]}) == {}
        # and faults would be found
        tab.evaluate("document.querySelector('.asked').setAttribute('style', 'color: #333')")
        tab.evaluate("document.querySelector('header').append(document.createElement('button'))")
        only = {"runOnly": ["color-contrast", "button-name"]}
        assert faults(tab, only).keys() == {"color-contrast", "button-name"}


def faults(tab, how):
    """Serious faults -> elements that have them."""
    found = tab.evaluate("how => axe.run(how)", how | {"resultTypes": ["violations"]})
    return {
        each["id"]: [node["html"][:200] for node in each["nodes"]]
        for each in found["violations"]
        if each["impact"] in SERIOUS
    }
