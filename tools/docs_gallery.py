"""docs/gallery.md: every picture of the docs with the command that makes it, and its page.

    python tools/docs_gallery.py

Pictures and commands are those of tools/docs_pictures.py; what a picture shows is said once, in the
words that stand for it on its page.
"""

import re

from docs_pictures import DOCS, PICTURES, ROOT, Picture

INTRODUCTION = """# Gallery

Every picture of these pages, with what makes it. `python tools/docs_pictures.py` makes them anew,
and `python tools/docs_gallery.py` this page. Commands with files of `checkpoints/`, `runs/` or
CIFAR-10 need what their page trains or names; all others run as they stand.
"""
_SHOWN = re.compile(r'<img src="(?:docs/)?([\w-]+)\.png"[^>]* alt="([^"]+)">')
_LINKED = re.compile(r"\[([^]]+)\]\(([\w-]+)\.png\)")
FIRST = ("README.md", "index.md")  # show what belongs to other pages


def gallery() -> str:
    """The text of the page: pages in the order of their pictures, each with its pictures."""
    shown = _shown()
    pages = list(dict.fromkeys(shown[name][0] for name in PICTURES))
    parts = [INTRODUCTION]
    for page in pages:
        parts.append(f"\n## [{_title(page)}]({page})\n")
        for name, picture in PICTURES.items():
            where, words = shown[name]
            if where == page:
                parts.append(f'\n<img src="{name}.png" width="620" alt="{words}">\n\n{words}.\n')
                parts.append(f"\n{_made(picture)}\n")
    return "".join(parts)


def _shown() -> dict[str, tuple[str, str]]:
    """Picture -> the page that it belongs to, and what that says of it."""
    found = {}
    for path in [*sorted(DOCS.glob("*.md")), ROOT / "README.md"]:
        if path.name == "gallery.md":
            continue
        text = path.read_text()
        linked = [(name, words) for words, name in _LINKED.findall(text)]
        for name, words in [*_SHOWN.findall(text), *linked]:
            if name not in found or found[name][0] in FIRST:
                found[name] = path.name, words
    return found


def _title(page: str) -> str:
    title = (DOCS / page).read_text().splitlines()[0].removeprefix("# ")
    return title.partition(":")[0]


def _made(picture: Picture) -> str:
    if picture.command.endswith(".md"):
        return f"By the code of [its page]({picture.command})."
    if picture.command.endswith(".py"):
        return f"By [`{picture.command}`](../tools/{picture.command})."
    return f"```sh\n{picture.command.replace(' && ', chr(10))}\n```"


if __name__ == "__main__":
    (DOCS / "gallery.md").write_text(gallery())
