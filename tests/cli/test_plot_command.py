"""`vitprobe plot`: results that are there, drawn again; what cannot be drawn, in one line."""

import re

import h5netcdf
import numpy as np
import pytest
import torch
import xarray as xr
from attention_results import vit
from PIL import Image

from vitprobe.cli._output import netcdf
from vitprobe.figures import plot

LAYERS = {"a": [f"blocks.{i}" for i in range(6)], "b": [f"layer{i}.0" for i in range(1, 5)]}


def made(a="vit", b="resnet18", **attrs):
    """A CKA result as a file would hold it."""
    sides = {f"layer_{side}": LAYERS[side] for side in "ab"}
    shape = tuple(map(len, sides.values()))
    values = np.random.default_rng(len(a) + 7 * len(b)).uniform(0, 1, shape)
    dims = tuple(sides)
    return xr.Dataset(
        {"cka": (dims, values), "cka_se": (dims, values / 50)},
        sides,
        {"analysis": "cka", "model_a": a, "model_b": b, "dataset": "digits", "examples": 64}
        | attrs,
    )


@pytest.fixture
def write(tmp_path):
    """write("name", dataset) -> results/name.nc, as a word for the command."""
    (tmp_path / "results").mkdir()

    def write(name, dataset):
        (tmp_path / "results" / f"{name}.nc").write_bytes(netcdf(dataset))
        return f"results/{name}.nc"

    return write


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.drawn
def test_a_figure_beside_its_result(vitprobe_command, tmp_path, write):
    ended = vitprobe_command("plot", write("cka-vit-resnet18", made()))
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.split() == ["wrote", "results/cka-vit-resnet18.png"]
    assert files(tmp_path / "results") == ["cka-vit-resnet18.nc", "cka-vit-resnet18.png"]
    with Image.open(tmp_path / "results" / "cka-vit-resnet18.png") as picture:
        assert min(picture.size) > 400


def test_formats_and_places(vitprobe_command, tmp_path, write):
    path = write("cka-vit-resnet18", made())
    assert vitprobe_command("plot", path, "--format", "pdf,svg", "--output", "figures").code == 0
    assert files(tmp_path / "figures") == ["cka-vit-resnet18.pdf", "cka-vit-resnet18.svg"]
    assert b"/Type3" not in (tmp_path / "figures" / "cka-vit-resnet18.pdf").read_bytes()
    assert vitprobe_command("plot", path, "--output", "deep/figure1.pdf").code == 0
    assert (tmp_path / "deep" / "figure1.pdf").read_bytes().startswith(b"%PDF")
    first = (tmp_path / "deep" / "figure1.pdf").read_bytes()
    assert vitprobe_command("plot", path, "--output", "deep/figure1.pdf").code == 0
    assert (tmp_path / "deep" / "figure1.pdf").read_bytes() == first


def test_what_the_font_lacks_is_a_note(vitprobe_command, write):
    ended = vitprobe_command("plot", write("a", made("\u6a21\u578b")))
    assert ended.code == 0
    lines = ended.err.splitlines()
    assert len(lines) == len(set(lines)) == 2  # a character each, once
    assert all(line.startswith("note: ") and "missing from font" in line for line in lines)


def test_every_option_reaches_the_figure(vitprobe_command, write, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "vitprobe.figures.plot", lambda *a, **k: drawn.append(plot(*a, **k)) or drawn[-1]
    )
    ended = vitprobe_command(
        *("plot", write("a", made()), "--title", "A, B: 100 %", "--labels", "ours, theirs"),
        *("--layers", "blocks.[0-2]", "--layers", "layer1.0,layer3.0"),
    )
    assert ended.code == 0
    (figure,) = drawn
    axes = figure.axes[0]
    assert axes.images[0].get_array().shape == (3, 2)
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("ours", "theirs")
    texts = [text.get_text() for text in axes.texts]
    assert "A, B: 100 %" in texts and not any("digits" in text for text in texts)


def test_several_results_in_one_figure(vitprobe_command, tmp_path, write):
    words = [
        write("cka-vit-resnet18-seed1", made()),
        write("cka-vit-vit-seed1", made("vit", "deit")),
    ]
    assert vitprobe_command("plot", *words).code == 0
    assert (tmp_path / "results" / "cka-vit-resnet18+vit-seed1.png").exists()
    words = [write(f"attention-{name}", vit(6, 4, model=name)) for name in ("vit", "deit")]
    assert vitprobe_command("plot", *words, "--normalize", "uniform").code == 0
    assert (tmp_path / "results" / "attention-vit+deit.png").exists()


def test_a_difference(vitprobe_command, tmp_path, write):
    words = [write("cka-vit-resnet18", made()), write("cka-deit-resnet18", made("deit"))]
    assert vitprobe_command("plot", *words, "--difference", "--format", "svg").code == 0
    assert (tmp_path / "results" / "cka-vit-minus-deit-resnet18.svg").exists()


def test_a_figure_never_takes_the_place_of_its_result(vitprobe_command, tmp_path, write):
    write("a", made())
    (tmp_path / "results" / "a.nc").rename(tmp_path / "results" / "a.png")
    held = (tmp_path / "results" / "a.png").read_bytes()
    ended = vitprobe_command("plot", "results/a.png")
    assert ended.code == 2 and "would replace the result results/a.png" in ended.err
    assert (tmp_path / "results" / "a.png").read_bytes() == held


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["missing.nc"], "no result missing.nc: check the path"),
        (["."], "result . is a folder"),
        (["text.nc"], "cannot read text.nc as netCDF"),
        (["truncated.nc"], "cannot read truncated.nc as netCDF"),
        (["other.nc"], "other.nc is no result of vitprobe: it has no attribute 'analysis'"),
        (["huge.nc"], "huge.nc claims 8,000,000,000,000 bytes of numbers"),
        (["bare.nc"], "it has no 'cka' over layer_a and layer_b"),
        (["lacks.nc"], "No variable named 'distance_se'.*; compute it again"),
        (["unknown.nc"], "no figure for the analysis 'ckaa'.*did you mean 'cka'"),
        (["a.nc", "--formt", "pdf"], "No such option.*--formt"),
        (["a.nc", "--format", "pfd"], "no format 'pfd'.*did you mean 'pdf'"),
        (["a.nc", "--format", "png,"], "--format has an empty name"),
        (["a.nc", "--output", "a.eps"], "ends in .eps: figures are png, svg, pdf"),
        (["a.nc", "--output", "a.pdf", "--format", "png"], "--output a.pdf is one file"),
        (["a.nc", "--output", "text.nc/b"], "cannot write to --output text.nc/b"),
        (["a.nc", "--layers", "blokcs.1"], "did you mean 'blocks.1'"),
        (["a.nc", "--layers", "blocks.1"], "--layers blocks.1 leaves no layer of resnet18"),
        (["a.nc", "--labels", "one"], "--labels has 1 names for 2 models: vit, resnet18"),
        (["a.nc", "--normalize", "uniform"], "this figure of cka has no --normalize"),
        (["a.nc", "--difference"], "--difference takes two results, not 1"),
        (["a.nc", "a.nc"], "two results are of vit and resnet18.*--difference"),
        (["a.nc", "attention.nc"], "results of cka and attention have no figure in common"),
        (["heads.nc", "heads.nc"], r"head_subsets has no figure of several .* \(attention, cka"),
        (["heads.nc", "heads.nc", "--difference"], "head_subsets has no figure of a difference"),
        (["attention.nc", "--normalize", "unifrom"], "did you mean 'uniform'"),
        ([], "Missing argument 'RESULT.nc"),
    ],
)
def test_one_line(vitprobe_command, tmp_path, words, expected):
    whole = netcdf(made())
    (tmp_path / "a.nc").write_bytes(whole)
    (tmp_path / "text.nc").write_text("no numbers here")
    (tmp_path / "truncated.nc").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "other.nc").write_bytes(netcdf(xr.Dataset({"wind": ("time", [1.0])})))
    (tmp_path / "bare.nc").write_bytes(netcdf(made().drop_vars("cka")))
    (tmp_path / "unknown.nc").write_bytes(netcdf(made().assign_attrs(analysis="ckaa")))
    (tmp_path / "heads.nc").write_bytes(netcdf(made().assign_attrs(analysis="head_subsets")))
    (tmp_path / "attention.nc").write_bytes(netcdf(vit(6, 4)))
    (tmp_path / "lacks.nc").write_bytes(netcdf(vit(6, 4).drop_vars("distance_se")))
    with h5netcdf.File(tmp_path / "huge.nc", "w") as file:  # nothing is stored of it
        file.attrs["analysis"] = "cka"
        file.dimensions = {"layer_a": 10**6, "layer_b": 10**6}
        file.create_variable("cka", ("layer_a", "layer_b"), float, chunks=(1000, 1000))
    before = files(tmp_path)
    ended = vitprobe_command("plot", *words)
    assert ended.code == 2 and ended.out == ""
    assert len(ended.err.splitlines()) == 1, ended.err
    assert re.search(expected, ended.err), ended.err
    assert files(tmp_path) == before


def test_matrices_of_other_packages(vitprobe_command, tmp_path):
    values = np.array([[1.0, 0.2], [0.3, 0.9]])
    np.save(tmp_path / "plain.npy", values)
    names = {f"model{k}_layers": ["conv1", "fc"] for k in (1, 2)}
    torch.save({"CKA": torch.from_numpy(values), **names, "model1_name": "A"}, tmp_path / "cka.pt")
    for name in ("plain.npy", "cka.pt"):
        ended = vitprobe_command("plot", name)
        assert ended.code == 0, ended.err
        assert f"wrote    {name.partition('.')[0]}.png" in ended.out
    difference = vitprobe_command("plot", "cka.pt", "plain.npy", "--difference")
    assert difference.code == 2 and len(difference.err.splitlines()) == 1  # no layers in common
    assert "no matrix absent.pt" in vitprobe_command("plot", "absent.pt").err
    page = vitprobe_command("report", "cka.pt", "plain.npy")
    assert page.code == 0, page.err
    assert "Similarity of layers" in (tmp_path / "report.html").read_text()
