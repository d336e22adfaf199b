"""What the README and the pages of docs/ show is there: links, commands, code."""

import re
import shlex
import subprocess

import pytest
import typer
from docs_pages import PAGES, name_of

from vitprobe.cli import app

each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def fenced(page, language):
    """The blocks of code in one language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def prose(page):
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def commands(page):
    """Every `vitprobe ...` of its shell blocks and indented lines, as words."""
    lines = re.findall(r"^ {4}(.*)$", prose(page), re.MULTILINE)
    lines += [line for block in fenced(page, "sh") for line in block.splitlines()]
    for line in lines:
        line = re.sub(r"\s#\s.*", "", line)
        for part in re.split(r"&&|[|;>]", line):
            found = re.match(r"\s*(?:[A-Z_]+=\S+ )*(vitprobe [a-z].*)", part)
            if found and not re.search(r"\[|\.\.\.|\$\w", part):
                yield shlex.split(found[1])


def anchors(page):
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page):
    found = re.findall(r"\]\(((?!http)[^)]+)\)|src=\"([^\"]+)\"", prose(page))
    return ["".join(pair) for pair in found]


@each_page
def test_links_resolve(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


@each_page
def test_commands_are_understood(page):
    """Every command names a sub-command and options that exist."""
    known = typer.main.get_command(app).commands
    written_there = re.findall(r"^# vitprobe/cli/(\w+)\.py$", page.read_text(), re.MULTILINE)
    for _, command, *words in commands(page):
        if command not in written_there:
            assert known[command].make_context(command, list(words)).params is not None


@each_page
def test_scripts_are_understood(page):
    """bash can read them; every `vitprobe` in them has a sub-command and options that exist."""
    known = typer.main.get_command(app).commands
    scripts = fenced(page, "bash")
    for text in fenced(page, "yaml"):
        pod = pytest.importorskip("yaml").safe_load(text)["spec"]["template"]["spec"]
        scripts += ["\n".join(container["args"]) for container in pod["containers"]]
    for script in scripts:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        found = re.findall(
            r"(?:exec |srun |-m |^|')vitprobe ([a-z].*?)(?:'|$)",
            script.replace("\\\n", " "),
            re.MULTILINE,
        )
        assert len(found) == script.count("vitprobe "), "all of them are looked at"
        for command, *words in map(shlex.split, found):
            assert known[command].make_context(command, words).params is not None


@each_page
def test_no_text_is_taken_for_html(page):
    """`<v(a), v(b)>` in a sentence is shown by GitHub, and a tag that nobody sees to the site."""
    spoken = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)|^    .*$", "", prose(page), flags=re.MULTILINE)
    assert not re.findall(r"<(?!/?(?:img|sub)\b|https?:|!--)[A-Za-z/][^\n]*", spoken)


@each_page
def test_fences_are_closed(page):
    """Each begins a line of its own and ends one: what is not closed is no code to these tests."""
    lines = page.read_text().splitlines()
    fences = [line for line in lines if "```" in line]
    assert all(line.strip() == "```" or line.strip()[3:].isalpha() for line in fences), fences
    assert len(fences) % 2 == 0 and all(line.strip() == "```" for line in fences[1::2])


@each_page
def test_python_is_valid(page):
    for code in fenced(page, "python"):
        compile(code, page.name, "exec")


def test_the_readme_leads_to_every_page():
    reached, waiting = set(), [PAGES[0]]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        paths = [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
        waiting += [path for path in paths if path in PAGES and path not in reached]
    assert reached == set(PAGES)
    assert sum(1 for _ in commands(PAGES[0])) >= 15
