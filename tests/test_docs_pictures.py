"""The pictures of the docs can be made by tools/docs_pictures.py, and are on a page."""

import re
import shlex
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import typer
from docs_pages import PAGES, ROOT

from vitprobe.cli import app
from vitprobe.passes import Reader


def _tool(name):
    path = ROOT / "tools" / f"{name}.py"
    module = sys.modules[name] = module_from_spec(spec_from_file_location(name, path))
    module.__spec__.loader.exec_module(module)
    return module


TOOL = _tool("docs_pictures")


def test_each_picture_is_made_and_shown():
    names = (re.findall(r"[\w/-]+\.png", page.read_text()) for page in PAGES)
    shown = {Path(name).stem for found in names for name in found}
    there = {path.stem for path in (ROOT / "docs").glob("*.png")}
    assert there == set(TOOL.PICTURES)
    assert there <= shown


def test_the_gallery_is_of_these():
    """`python tools/docs_gallery.py` writes it anew."""
    page = (ROOT / "docs" / "gallery.md").read_text()
    assert page == _tool("docs_gallery").gallery()
    assert page.count("<img ") == len(TOOL.PICTURES)


def test_its_commands_are_understood():
    lines = [picture.command for picture in TOOL.PICTURES.values()] + list(TOOL.TRAINED.values())
    parts = (
        part for line in lines if not line.endswith((".md", ".py")) for part in line.split("&&")
    )
    group = typer.main.get_command(app)
    for command in parts:
        _, name, *options = shlex.split(command)
        assert group.commands[name].make_context(name, options).params


def test_what_is_drawn_by_hand_names_what_there_is(tmp_path):
    for picture in TOOL.PICTURES.values():
        if picture.command.endswith(".py"):
            TOOL.make(picture, tmp_path)
            assert (tmp_path / picture.written).read_bytes().startswith(b"\x89PNG")
            drawn = (ROOT / "tools" / picture.command).read_text()
            methods = re.findall(r"\"`?(\w+)\([\w, ]*\)\"", drawn)
            assert set(methods) - {"prepare", "take"} <= vars(Reader).keys(), methods


def test_its_blocks_of_code_are_on_their_pages():
    for picture in TOOL.PICTURES.values():
        if picture.command.endswith(".md"):
            code = TOOL.block_of(TOOL.DOCS / picture.command, "python", f'"{picture.written}"')
            compile(code, picture.command, "exec")
    shell = TOOL.block_of(TOOL.DOCS / TOOL.SEEDS_PAGE, "sh", "vitprobe train")
    subprocess.run(["bash", "-n", "-c", shell], check=True)
    assert "cifar10-train4000" in TOOL.block_of(
        TOOL.DOCS / "compare-training.md", "toml", "cifar10-train4000"
    )


def test_what_the_captions_of_the_readme_count():
    """As many as the option of the picture's command has."""
    readme = (ROOT / "README.md").read_text()
    for picture, caption, option, count in [
        ("compare-digits", "Similarity of eleven models", "--models", 11),
        ("measures-vit-resnet20-digits", "by six measures", "--measure", 6),
        ("null-random-few", "two random networks on 12 images", "--models", 2),
    ]:
        (alt,) = re.findall(rf'docs/{picture}.png"[^>]*alt="([^"]*)"', readme)
        words = shlex.split(TOOL.PICTURES[picture].command)
        found = re.split(r",(?![^(]*\))", words[words.index(option) + 1])
        assert caption in alt and len(found) == count, found
    assert "--examples 12" in TOOL.PICTURES["null-random-few"].command
