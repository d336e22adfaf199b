"""mkdocs hook: what the pages of docs/ link to outside of it is a page of the site, too.

On GitHub `[cka.py](../vitprobe/analyses/cka.py)` leads to the file. The site has no other place
than itself: each such file becomes `source/vitprobe/analyses/cka.py.html`, its text in colours; the
README is the start page.
"""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.structure.files import File, InclusionLevel

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"(\]\(|src=\"|href=\")(?!https?:|mailto:|#)([^)\"#\s]+)")
_LANGUAGES = {".py": "python", ".json": "json", ".toml": "toml", ".md": "markdown"}
_HIDDEN = "---\nsearch: {exclude: true}\nhide: [toc]\n---\n"


def place(target: str, page: str) -> str:
    """Where the site has what a page links to; both as in docs/ (`../vitprobe/x.py`, `cka.md`)."""
    found = normpath(PurePosixPath(page).parent / target)
    if found == "../README.md":
        return "index.md"
    return f"source/{found[3:]}.md" if found.startswith("../") else found


def on_files(files, config):
    for page in list(files.documentation_pages()):
        for _, target in _LINK.findall(page.content_string):
            there = place(target, page.src_uri)
            if there.startswith("source/") and files.get_file_from_path(there) is None:
                name = there.removeprefix("source/").removesuffix(".md")
                shown = File.generated(
                    config, there, content=_shown(name), inclusion=InclusionLevel.NOT_IN_NAV
                )
                files.append(shown)
    return files


def _shown(name: str) -> str:
    path = ROOT / name
    language = _LANGUAGES.get(path.suffix, "cpp")
    return f"{_HIDDEN}# `{name}`\n\n````{language}\n{path.read_text()}\n````\n"


def on_page_markdown(markdown, page, **_):
    own = page.file.src_uri
    if own.startswith("source/"):
        return markdown

    def moved(found):
        target = place(found[2], own)
        if not target.startswith("source/") and not found[2].endswith("README.md"):
            return found[0]
        return found[1] + relpath(target, PurePosixPath(own).parent.as_posix() or ".")

    return _LINK.sub(moved, markdown)
