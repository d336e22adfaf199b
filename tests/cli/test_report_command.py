"""`vitprobe report`, `vitprobe demo` and `--report`: what is on the page, where it is, whose place
it takes."""

import json
import os
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer
import xarray as xr

from vitprobe.cli import _browser, app, demo
from vitprobe.input_options import InputOptions

VIT = "vit=vit(depth=2,dim=24,heads=3,mlp_dim=32)"
WIDE = "wide=vit(depth=2,dim=24,heads=3,mlp_dim=48)"
FEW = ("--layers", "blocks", "--examples", 16, "--batch-size", 4)
CKA = ("cka", "--models", f"{VIT},{WIDE}", *FEW)
ATTENTION = ("attention", "--models", VIT, "--examples", 16, "--batch-size", 8)


def held(path):
    """What a page shows, as its scripts get it."""
    text = Path(path).read_text().partition('id="document">')[2].partition("</script>")[0]
    return json.loads(text)


def shown(path):
    """(section, title of each result, names of the files that are linked) of a page."""
    return [
        (part["name"], each["title"], [name for name, _ in each["files"]])
        for part in held(path)["sections"]
        for each in part["results"]
    ]


def check_links(path):
    """Every file that is linked is there, seen from the page; returns how many there are."""
    page = held(path)
    results = [each for part in page["sections"] for each in part["results"]]
    links = [link for each in [*results, *page["papers"]] for link in each["files"]]
    for name, address in links:
        target = Path(path).parent / unquote(address)
        assert target.name == name and target.is_file(), address
        assert not address.startswith("/") and ":" not in address
    return len(links)


def test_a_page_beside_the_results(vitprobe_command, tmp_path):
    """Its name, its links, the command that made it; the run is the same run."""
    ended = vitprobe_command(*CKA, "--report")
    assert ended.code == 0, ended.err
    stem = "cka-vit-wide-blocks-examples16"
    folder = tmp_path / "results"
    assert f"wrote    results/{stem}.html" in ended.out
    typed = f"vitprobe cka --models '{VIT},{WIDE}' --layers blocks --examples 16 --batch-size 4"
    assert held(folder / f"{stem}.html")["command"] == f"{typed} --report"
    assert check_links(folder / f"{stem}.html") == 10
    own = {f"{stem}{end}" for end in (".nc", ".png", ".csv", "-pairs.png")}
    titles = {title: set(names) for _, title, names in shown(folder / f"{stem}.html")}
    assert titles["vit, wide on digits test"] == own and len(titles) == 3
    before = xr.load_dataset(folder / f"{stem}.nc").attrs
    assert before["command"] == f"{typed} --report"
    ended = vitprobe_command(*CKA, "--quiet")
    assert ended.code == 0 and not ended.out
    after = xr.load_dataset(folder / f"{stem}.nc").attrs
    assert after["run"] == before["run"] and after["command"] == f"{typed} --quiet"
    (folder / f"{stem}.html").unlink()
    ended = vitprobe_command(*CKA, "--resume", "--report")
    assert "finished the results of this run are there" in ended.out, ended.err
    assert check_links(folder / f"{stem}.html") == 10
    (folder / f"{stem}.html").write_text("mine")
    ended = vitprobe_command(*CKA, "--report")
    assert ended.code == 2 and f"{stem}.html is no page of vitprobe" in ended.err
    assert (folder / f"{stem}.html").read_text() == "mine"


def test_shares_have_it_once_they_are_merged(vitprobe_command, tmp_path):
    for index in (1, 2):
        ended = vitprobe_command(*ATTENTION, "--shard", f"{index}/2", "--report")
        assert ended.code == 0 and "-of-2.partial --report" in ended.out
    assert not list((tmp_path / "results").glob("*.html"))
    partials = sorted((tmp_path / "results").glob("*.partial"))
    ended = vitprobe_command("merge", *partials, "--report", "--name", "both")
    assert ended.code == 0, ended.err
    assert held(tmp_path / "results" / "both.html")["command"].startswith("vitprobe merge ")


@pytest.fixture
def results(vitprobe_command, tmp_path):
    """Of two models, a folder with what is no result beside them."""
    for words in (CKA, ATTENTION):
        assert vitprobe_command(*words).code == 0
    (tmp_path / "results" / "notes.nc").write_text("mine")
    (tmp_path / "results" / "other.csv").write_text("a,b\n1,2\n")
    return tmp_path / "results"


def test_files_and_folders(results, vitprobe_command, tmp_path):
    ended = vitprobe_command("report", "results", "--title", "All of it")
    assert ended.code == 0 and "wrote    results/report.html" in ended.out
    assert "note: left out: cannot read results/notes.nc" in ended.err
    page = held(results / "report.html")
    assert page["title"] == "All of it" and page["command"] == ""
    assert [name for name, _, _ in shown(results / "report.html")] == ["cka"] * 3 + ["attention"]
    assert check_links(results / "report.html")
    some = ("results/attention-vit-examples16.nc", "results/cka-vit-vit-blocks-examples16.nc")
    ended = vitprobe_command("report", *some, some[0], "--output", "pages/new/")
    assert ended.code == 0, ended.err
    found = shown(tmp_path / "pages" / "new" / "report.html")
    assert [name for name, _, _ in found] == ["attention", "cka"]
    assert check_links(tmp_path / "pages" / "new" / "report.html") == 6
    ended = vitprobe_command("report", some[0])
    assert "wrote    results/attention-vit-examples16.html" in ended.out
    assert vitprobe_command("report", some[0], "--output", "a.htm").code == 0
    assert check_links(tmp_path / "a.htm") == 3


def test_whose_place_it_takes(results, vitprobe_command, tmp_path):
    """Its own, and that of a page of some of its results."""
    one, *more = sorted(results.glob("cka*.nc"))
    page = ("--output", "page.html")
    assert vitprobe_command("report", one, *page).code == 0
    assert vitprobe_command("report", one, *more, *page).code == 0
    ended = vitprobe_command("report", one, *page)
    assert ended.code == 2 and "page.html is a page of other results: write" in ended.err
    assert len(shown(tmp_path / "page.html")) == 3
    assert vitprobe_command("report", one, *page, "--overwrite").code == 0
    for text in ("mine", '<meta name="generator" content="vitprobe">'):
        (tmp_path / "page.html").write_text(text)
        ended = vitprobe_command("report", one, *page)
        assert ended.code == 2 and "page.html is no page of vitprobe" in ended.err
        assert (tmp_path / "page.html").read_text() == text
    os.mkdir(tmp_path / "folder.html")
    assert vitprobe_command("report", one, "--output", "folder.html").code == 0
    assert (tmp_path / "folder.html" / f"{one.stem}.html").is_file()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("none.nc",), "no result none.nc: check the path"),
        (("mine.nc",), "cannot read mine.nc as netCDF"),
        (("mine.csv",), "mine.csv is no table of a training run"),
        (("empty",), "there is no result (.nc) in empty, and no table of a training run"),
        (("empty", "--output", "page.png"), "there is no result"),
        (("result.nc", "--output", "page.png"), "page.png ends in .png: a page ends in .html"),
        (("bare.nc",), "cannot show this result of attention: it is not as vitprobe writes one"),
        (("",), "is no path"),
    ],
)
def test_what_cannot_be_shown_is_one_line(vitprobe_command, tmp_path, words, line):
    (tmp_path / "empty").mkdir()
    for name in ("mine.nc", "mine.csv"):
        (tmp_path / name).write_text("mine")
    for name in ("result.nc", "bare.nc"):
        xr.Dataset(attrs={"analysis": "attention"}).to_netcdf(tmp_path / name, engine="h5netcdf")
    ended = vitprobe_command("report", *words)
    assert ended.code == 2 and len(ended.err.splitlines()) == 1 and line in ended.err
    assert not list(tmp_path.rglob("*.html"))


def test_runs_of_training(vitprobe_command, tmp_path):
    words = ("train", "scratch", "--model", "resnet20", "--dataset", "digits", "--fraction", "0.05")
    ended = vitprobe_command(*words, "--epochs", 1, "--model_name", "a", "--report")
    assert ended.code == 0 and "wrote    checkpoints/a.html" in ended.out, ended.err
    page = held(tmp_path / "checkpoints" / "a.html")
    assert page["command"].startswith("vitprobe train scratch") and check_links(
        tmp_path / "checkpoints" / "a.html"
    )
    ended = vitprobe_command("report", "checkpoints")
    assert ended.code == 0
    assert [name for name, _, _ in shown(tmp_path / "checkpoints" / "report.html")] == ["training"]


def test_demo(vitprobe_command, tmp_path, monkeypatch):
    """A page of the whole folder, findings first, which `vitprobe report` makes again."""
    asked = []
    monkeypatch.setattr(demo, "MODELS", (WIDE, VIT))
    monkeypatch.setattr(demo, "InputOptions", lambda: InputOptions(examples=16, batch_size=8))
    monkeypatch.setattr(_browser.webbrowser, "open", lambda url: bool(asked.append(url)) or True)
    monkeypatch.setenv("BROWSER", "x")
    ended = vitprobe_command("demo", "--no-browser", "--output", "x")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("demo     a small Vision Transformer and a ResNet-20")
    folder = tmp_path / "x" / "paper-wide-vit-examples16"
    assert f"wrote    x/{folder.name}/report.html, and" in ended.out
    *_, last, first, second = ended.out.splitlines()
    assert last == f"page     x/{folder.name}/report.html: open it in a browser" and not asked
    assert first.startswith("next     vitprobe paper --models ") and "vitprobe cka" in second

    page = folder / "report.html"
    paper, count = held(page), check_links(page)
    assert count == sum(path.suffix in (".nc", ".png", ".csv", ".md") for path in folder.iterdir())
    assert {"findings.nc", "findings.md"} <= {name for name, _ in paper["papers"][0]["files"]}
    found = list(dict.fromkeys(name for name, _, _ in shown(page)))
    assert found[:3] == ["cka", "attention", "head_subsets"] and len(found) >= 8
    assert paper["command"] == "vitprobe demo --no-browser --output x"

    ended = vitprobe_command("report", f"x/{folder.name}", "--open")
    assert ended.code == 0 and asked == [page.as_uri()], ended.err
    again = held(page)
    assert {title for _, title, _ in shown(page)} == {
        title for part in paper["sections"] for title in (each["title"] for each in part["results"])
    }
    assert list(dict.fromkeys(name for name, _, _ in shown(page))) == found
    assert check_links(page) == count
    assert all(again[key] == paper[key] for key in ("title", "command", "papers", "citation"))


def test_every_command_that_writes_results_has_it():
    known = {
        name: {each.name for each in command.params}
        for name, command in typer.main.get_command(app).commands.items()
    }
    without = {name for name, options in known.items() if "report" not in options}
    assert without == {"demo", "info", "layers", "plot", "recipes", "report", "tune"}


def test_single_images(vitprobe_command, tmp_path):
    small = VIT.partition("=")[2]
    ended = vitprobe_command("maps", "--model", small, "--index", 0, "--name", "m", "--report")
    assert ended.code == 0 and "wrote    results/m.html" in ended.out, ended.err
    assert held(tmp_path / "results" / "m.html")["sections"][0]["name"] == "maps"
    names = {name for _, _, files in shown(tmp_path / "results" / "m.html") for name in files}
    assert names == {"m.nc", "m.png", "m-filters.png", "m-positions.png"}


def test_no_browser_where_there_is_no_screen(tmp_path, monkeypatch):
    """One that runs in the terminal would take it over."""
    monkeypatch.setattr(_browser.webbrowser, "open", lambda url: pytest.fail("it was opened"))
    monkeypatch.setattr(sys, "platform", "linux")
    for name in _browser.SCREENS:
        monkeypatch.delenv(name, raising=False)
    assert not _browser.shown(tmp_path / "page.html")
