"""The site of the documentation: built strictly, whole, and nothing of it is from elsewhere."""

import re
from html import unescape

import pytest
from docs_pages import ROOT

import vitprobe

build = pytest.importorskip("mkdocs.commands.build")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder of the pages."""
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # where mkdocs.yml finds its tools
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        build.build(load_config("mkdocs.yml", strict=True, site_dir=str(folder)))
    return folder


def test_it_opens_from_disk_without_a_network(site):
    """No script, style, font, picture or frame is fetched from elsewhere; the search has its index
    beside it."""
    pages = list(site.rglob("*.html"))
    assert len(pages) > 60
    for page in pages:
        for tag in re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", page.read_text()):
            assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", tag), (page.name, tag)
    for style in site.rglob("*.css"):
        assert not re.search(r"@import|url\([\"']?(?:https?:)?//", style.read_text())
    assert "iframe-worker.js" in (site / "index.html").read_text()
    assert '"location":"cka.html' in (site / "search" / "search_index.js").read_text()


def test_the_reference_has_every_name_with_its_options(site):
    pages = {path.stem: path.read_text() for path in (site / "api").glob("*.html")}
    anchors = {name for text in pages.values() for name in re.findall(r'id="([\w.]+)"', text)}
    assert {f"vitprobe.{name}" for name in vitprobe.__all__} <= anchors
    text = unescape(re.sub(r"<[^>]+>", "", pages["analyses"]))
    assert "{inputs}" not in text and "inputs: InputOptions" not in text
    words = "Go on without images that cannot be read"
    assert text.lower().count(words.lower()) >= 9
    assert "skip_bad_images: bool = False" in " ".join(text.split())


def test_files_of_the_repository_are_pages(site):
    """What a page of docs/ links to outside of it."""
    page = (site / "extending.html").read_text()
    assert 'href="source/vitprobe/analyses/cka_reader.py.html"' in page
    shown = (site / "source/vitprobe/analyses/cka_reader.py.html").read_text()
    assert "CKAReader" in unescape(re.sub(r"<[^>]+>", "", shown))
