"""PNG, SVG and PDF: fonts that journals take, the same bytes each time."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from attention_results import vit

from vitprobe.figures import FORMATS, figure_bytes, plot

HERE = Path(__file__).parent
BEGIN = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
DRAW = """
import hashlib, sys
sys.path[:0] = [{tests!r}]
from attention_results import vit
from vitprobe.figures import figure_bytes, plot
for kind in ("svg", "pdf"):
    print(hashlib.sha256(figure_bytes(plot(vit(6, 4)), kind)).hexdigest())
"""


def test_every_format(cases):
    for kind in FORMATS:
        assert figure_bytes(plot(cases["10x10"]()), kind).startswith(BEGIN[kind])


def test_a_pdf_has_truetype_fonts(cases, tmp_path):
    figure = plot(cases["4x7 unicode"]())
    figure.savefig(tmp_path / "by-hand.pdf")
    for data in (figure_bytes(figure, "pdf"), (tmp_path / "by-hand.pdf").read_bytes()):
        assert b"/Type3" not in data and b"/FontFile2" in data
    assert matplotlib.rcParams["pdf.fonttype"] == matplotlib.rcParamsDefault["pdf.fonttype"]


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_bytes_again(cases, kind, monkeypatch):
    result = cases["30x25 negative"]()
    first = figure_bytes(plot(result), kind)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")  # another day
    assert figure_bytes(plot(result), kind) == first
    assert b"CreationDate" not in first and b"<dc:date>" not in first


def test_the_same_bytes_in_another_process():
    code = DRAW.format(tests=str(HERE.parent))
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    own = [figure_bytes(plot(vit(6, 4)), kind) for kind in ("svg", "pdf")]
    assert told.stdout.split() == [hashlib.sha256(each).hexdigest() for each in own]
