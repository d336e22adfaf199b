"""mkdocs hook: what the pages of docs/ link to outside of it is a page of the site, too.

On GitHub `[cka.py](../vitprobe/analyses/cka.py)` leads to the file. The site has no other place
than itself: such a file becomes `source/vitprobe/analyses/cka.py.html`, its text in colours, and
`../README.md` the page `source/index.html`.
"""

import re
from pathlib import Path, PurePosixPath
from posixpath import dirname, join, normpath, relpath

from mkdocs.structure.files import File, InclusionLevel

ROOT = Path(__file__).resolve().parents[1]
SOURCE = "source/"  # of the site
_LINK = re.compile(r"(\]\(|src=\"|href=\")(?!https?:|mailto:|#)([^)\"#\s]+)")
_LANGUAGES = {".py": "python", ".json": "json", ".toml": "toml"}
_UNSEARCHED = "---\nsearch: {exclude: true}\n---\n"


def in_site(path: str) -> str:
    """Where the site has a file of the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return SOURCE + (path if path.endswith(".md") else f"{path}.md")


def linked(page: str, target: str) -> str:
    """What a page of the site (`cka.md`) links to, in the site."""
    own = page.removeprefix(SOURCE) if page.startswith(SOURCE) else f"docs/{page}"
    return in_site(normpath(join(dirname(own), target)))


def on_files(files, config):
    waiting = list(files.documentation_pages())
    while waiting:
        page = waiting.pop()
        for _, target in _LINK.findall(page.content_string) if _is_prose(page) else ():
            there = linked(page.src_uri, target)
            if there.startswith(SOURCE) and files.get_file_from_path(there) is None:
                file = File.generated(
                    config, there, content=_shown(there), inclusion=InclusionLevel.NOT_IN_NAV
                )
                files.append(file)
                waiting.append(file)
    return files


def _is_prose(page: File) -> bool:
    return PurePosixPath(page.src_uri.removesuffix(".md")).suffix == ""


def _shown(there: str) -> str:
    path = ROOT / there.removeprefix(SOURCE)
    if path.is_file():  # Markdown
        return _UNSEARCHED + path.read_text()
    path = path.with_suffix("")
    language = _LANGUAGES.get(path.suffix, "cpp")
    name = path.relative_to(ROOT)
    return f"{_UNSEARCHED}# `{name}`\n\n````{language}\n{path.read_text()}\n````\n"


def on_page_markdown(markdown, page, **_):
    if not _is_prose(page.file):
        return markdown
    own = page.file.src_uri

    def moved(found):
        return found[1] + relpath(linked(own, found[2]), dirname(own) or ".")

    return _LINK.sub(moved, markdown)
