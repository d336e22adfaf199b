"""The analysis that docs/extending.md adds works as it is written there."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import xarray as xr
from docs_pages import ROOT
from test_docs import commands, fenced

PAGE = ROOT / "docs" / "extending.md"
RUN = """
import glob, json, sys

import pytest
from vitprobe.cli import main

for words in json.loads(sys.argv[1]):
    sys.argv = [word for each in words for word in sorted(glob.glob(each)) or [each]]
    try:
        main()
    except SystemExit as end:
        assert not end.code, words
for code in json.loads(sys.stdin.read()):
    exec(compile(code, "extending.md", "exec"), {})
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "tests/analyses/test_norms.py"]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """This tree's vitprobe (by links) with the files of the page in it, and what they wrote."""
    folder = tmp_path_factory.mktemp("extending")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(
        ROOT / "vitprobe", folder / "vitprobe", copy_function=os.symlink, ignore=ignored
    )
    rest = []
    for code in fenced(PAGE, "python"):
        if named := re.match(r"# ((?:vitprobe|tests)/[\w/]+\.py)\n", code):
            path = folder / named[1]
            assert not path.exists()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code)
        else:
            rest.append(code)
    words = json.dumps(list(commands(PAGE)))
    found = subprocess.run(
        [sys.executable, "-c", RUN, words],
        input=json.dumps(rest),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert not found.returncode, found.stdout + found.stderr
    (folder / "out").write_text(found.stdout)
    return folder


def test_its_reader_is_as_short_as_is_said():
    (reader,) = (code for code in fenced(PAGE, "python") if "class NormsReader" in code)
    body = reader[reader.index("class NormsReader") : reader.index("READER =")]
    said = re.search(r"docs/extending.md\) takes (\d+) lines", (ROOT / "README.md").read_text())
    assert len([line for line in body.splitlines() if line.strip()]) == int(said[1])


def test_results_figure_and_merge(folder):
    written = {path.name for path in (folder / "results").iterdir()}
    for name in ("vit@digits-examples128", "resnet20@digits-examples128", "vit@digits"):
        assert {f"norms-{name}.nc", f"norms-{name}.png"} <= written
    assert {f"norms-vit@digits.shard-{k}-of-2.partial" for k in (1, 2)} <= written
    merged = xr.load_dataset(folder / "results" / "both.nc", engine="h5netcdf")
    assert merged.attrs["examples"] == merged.attrs["examples_planned"] > 128
    enough = xr.load_dataset(folder / "results" / "norms-vit@digits.nc", engine="h5netcdf")
    assert enough.attrs["examples"] < merged.attrs["examples"] and enough["norm_se"].max() < 3


def test_what_it_says(folder):
    out = (folder / "out").read_text()
    assert out.count("finished the results of this run are there") == 1
    assert re.search(r"^largest +\S+ of vit@digits, [\d.]+$", out, re.MULTILINE)
    assert re.search(r"^\d+\.\d+ Frozen.*'layer_a': \d", out, re.MULTILINE)
    assert "1 passed" in out
