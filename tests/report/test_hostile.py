"""Names that would be markup, scripts or links: on a page they are seen, and do nothing."""

import html.parser
import json
import re
import unicodedata
from pathlib import Path

import pytest
from hostile_texts import MARK, NASTY, RUN, poisoned

from vitprobe.cli._page import links
from vitprobe.report import page_of
from vitprobe.report.section import Entry

ALLOWED = {"html", "head", "meta", "title", "link", "style", "body", "noscript", "p", "script"}
FILES = [f"{text}.nc" for text in NASTY if not {"/", "\0"} & set(text) and len(text) < 200]


@pytest.fixture(scope="module")
def page(small_results):
    """Each of their texts would do harm, and so would the files' names and the title."""
    files = links(map(Path, FILES), Path())
    return page_of([Entry(poisoned(each), files) for each in small_results], NASTY[0])


class Tags(html.parser.HTMLParser):
    """Whatever a browser would take for an element, with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_nothing_of_them_is_markup(page):
    found = Tags(page.html).found
    assert {tag for tag, _ in found} == ALLOWED
    scripts = [attrs for tag, attrs in found if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "document"}, {}]
    assert not [name for _, attrs in found for name in attrs if name.startswith("on")]
    head, _, rest = page.html.partition('id="document">')
    document = rest.partition("</script>")[0]
    for text in NASTY:
        assert "<" not in text or (text not in head and text not in document)
    assert not set("<>&\u2028\u2029") & set(document)
    held = json.loads(document)
    assert held["title"] == NASTY[0]
    assert {each["name"] for each in held["sections"]} >= {"cka", "attention", "maps", "probe"}


def test_what_cannot_be_seen_is_written_out(page):
    """Controls, bidirectional overrides, separators."""
    document = page.html.partition('id="document">')[2].partition("</script>")[0]
    texts = []
    json.loads(document, object_hook=lambda each: texts.extend(map(str, each.values())))
    unseen = {each for text in texts for each in text if unicodedata.category(each) in
              ("Cc", "Cf", "Zl", "Zp")}  # fmt: skip
    assert unseen == {"\n"}  # of the citation
    assert "\\u202egnp.exe" in document.replace("\\\\", "\\")


def test_links_stay_links_to_files(tmp_path):
    """Also where a file is called as a script would be."""
    for name in FILES:
        (found,) = links([tmp_path / "a" / name], tmp_path / "b")
        assert found[0] == name
        assert re.fullmatch(r"\.\./a/[\w.~%-]+", found[1], re.ASCII)
        ((_, beside),) = links([tmp_path / name], tmp_path)
        assert re.fullmatch(r"[\w.~%-]+", beside, re.ASCII)  # no scheme, no slash
    assert any(name.startswith("javascript:") for name in FILES)


def test_nothing_of_them_runs(page, opened):
    with opened(page) as held:
        tab, said = held.page, []
        tab.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        draw_all(tab)
        use_everything(tab)
        assert not said and not held.errors and not held.fetched
        assert tab.evaluate(f"window.{MARK}") is None
        assert tab.locator("script").count() == 2 and tab.locator("style").count() == 1
        assert tab.locator("img[onerror], svg[onload], iframe, object, form").count() == 0
        addresses = tab.eval_on_selector_all("a", "all => all.map(a => a.getAttribute('href'))")
        wrong = [each for each in addresses if not each.startswith(("#", "data:image/png;"))]
        assert wrong and all(re.fullmatch(r"[\w.~%-]+", each, re.ASCII) for each in wrong)
        assert tab.title() == NASTY[0]
        shown = tab.evaluate("document.body.innerText")
        assert NASTY[1] in shown and "{{constructor" in shown
        assert not [each for each in shown if each not in "\n\t" and
                    unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp")]  # fmt: skip


def draw_all(tab):
    """As for a printer: every figure, however far down it is."""
    tab.wait_for_selector("section")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    tab.locator(".later").first.wait_for(state="detached")


def use_everything(tab):
    """Open, choose, point at, walk along and press whatever there is, but for links."""
    tab.evaluate(
        """() => {
          document.querySelectorAll("details").forEach((each) => (each.open = true));
          for (const list of document.querySelectorAll("select")) {
            for (let i = list.options.length - 1; i >= 0; i -= Math.ceil(list.options.length / 4)) {
              list.selectedIndex = i;
              list.dispatchEvent(new Event("change", { bubbles: true }));
            }
          }
          for (const bar of document.querySelectorAll("input[type=range]")) {
            bar.value = bar.min;
            bar.dispatchEvent(new Event("input", { bubbles: true }));
          }
        }"""
    )
    for plot in tab.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        plot.hover(force=True)
        plot.click(force=True)
        plot.press("ArrowRight")
    tab.evaluate("document.querySelectorAll('main button').forEach((each) => each.click())")
    tab.wait_for_timeout(300)


def test_the_policy_holds_whatever_gets_in(page, opened):
    """Were some text markup after all, the browser would refuse to run or fetch it."""
    with opened(page) as held:
        failed = {}
        held.page.on("requestfailed", lambda request: failed.update({request.url: request.failure}))
        held.page.wait_for_selector("section")
        blocked = held.page.evaluate(
            """async (run) => {
              const found = [];
              document.addEventListener("securitypolicyviolation", (event) =>
                found.push(event.effectiveDirective));
              const script = document.createElement("script");
              script.textContent = run;
              document.body.append(script);
              document.body.insertAdjacentHTML("beforeend",
                `<img src=x onerror="${run}"><svg onload="${run}"></svg>` +
                `<a id="way" href="javascript:${run}">x</a><style>*{display:none}</style>` +
                `<img src="https://example.invalid/x.png">`);
              document.getElementById("way").click();
              await fetch("https://example.invalid/").catch(() => null);
              await new Promise((done) => setTimeout(done, 300));
              return found;
            }""",
            RUN,
        )
        assert held.page.evaluate(f"window.{MARK}") is None
        assert {failed.get(address) for address in held.fetched} <= {"csp"}
    for part in ("script-src-elem", "script-src-attr", "style-src-elem", "img-src", "connect-src"):
        assert part in blocked
