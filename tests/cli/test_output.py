"""File names of results, who may replace whom, and what becomes of results without a place."""

import os
from pathlib import Path

import pytest
import xarray as xr

from vitprobe.cli._names import file_names, joint, model_words, run_words, stems
from vitprobe.cli._output import ResultFiles, Writers, netcdf
from vitprobe.errors import InputError
from vitprobe.input_options import InputOptions
from vitprobe.passes.provenance import run_attributes


def facts(a, b="vit", **more):
    return {"analysis": "cka", "model_a": a, "model_b": b} | more


def result(run):
    return xr.Dataset(attrs=run_attributes(run))


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("vit", "cka-vit-vit"),
        ("resnet20@../weights/a-1.2.th", "cka-resnet20@a-1.2-vit"),
        ("resnet20@a.th#ema", "cka-resnet20@a_ema-vit"),
        ("torchvision:vit_b_16@pretrained", "cka-torchvision_vit_b_16@pretrained-vit"),
        ("my.models:net", "cka-my.models_net-vit"),
        ("VisionTransformer (1)", "cka-VisionTransformer_1_-vit"),
        ("vit@a\x1b]0;owned\x07\nb\u202e.pt", "cka-vit@a_0_owned_b_-vit"),
        ("before tuning", "cka-before_tuning-vit"),
    ],
)
def test_names(spec, name):
    assert stems([facts(spec)]) == [name]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"dataset": "digits", "split": "test", "estimator": "unbiased", "kernel": "linear"}, ""),
        ({"dataset": "cifar10", "split": "train"}, "-cifar10-train"),
        ({"dataset": "npz:data/images.npz"}, "-npz_images"),
        ({"dataset": "imagefolder:/data/val/"}, "-imagefolder_val"),
        ({"estimator": "biased", "kernel": "rbf:0.5", "passes": 2}, "-biased-rbf_0.5-passes2"),
        (
            {"layers_a": "all", "layers_b": "all", "tokens_a": "cls", "tokens_b": "mean"},
            "-cls_mean",
        ),
        ({"layers_a": "blocks", "layers_b": "blocks"}, "-blocks"),
        ({"layers_b": "first blocks"}, ""),
        ({"layers_a": "x" * 30, "layers_b": "all"}, ""),
    ],
)
def test_names_tell_what_is_not_as_by_default(more, words):
    assert stems([facts("vit", **more)]) == [f"cka-vit-vit{words}"]


@pytest.mark.parametrize(
    ("analysis", "more", "words"),
    [
        ("receptive_field", {"layers": "", "residual": "post", "convention": "raghu"}, ""),
        (
            "receptive_field",
            {"layers": "blocks.*", "residual": "pre", "convention": "openerf"},
            "-blocks._-pre-openerf",
        ),
        ("localization", {"layer_asked": "", "tokens_asked": ""}, ""),
        ("localization", {"layer_asked": "blocks.2", "tokens_asked": "0,0;2,3"},
         "-blocks.2-tokens0_0_2_3"),
        ("finetuning", {"layers": "blocks"}, ""),
        ("finetuning", {"layers": "all"}, "-all"),
        ("dominant", {"layers": "blocks", "drop": 0.05}, ""),
        ("dominant", {"layers": "all", "drop": 0.1}, "-all-drop0.1"),
        ("maps", {"layers": "head"}, ""),
    ],
)  # fmt: skip
def test_names_tell_what_was_asked_of_an_analysis(analysis, more, words):
    assert stems([{"analysis": analysis, "model": "vit"} | more]) == [f"{analysis}-vit{words}"]


def test_few_examples_are_usual_for_receptive_fields():
    few = InputOptions(examples=32)
    assert run_words(few) == ["examples32"] == run_words(few, "cka")
    assert run_words(few, "receptive_field") == []
    assert run_words(InputOptions(examples=64), "receptive_field") == ["examples64"]


def test_words_of_options():
    assert run_words(InputOptions()) == []
    assert run_words(InputOptions(batch_size=64, workers=2)) == []
    options = InputOptions(order="file", examples=64, image_size=48, precision="bf16", seed=3)
    assert run_words(options) == ["file-order", "examples64", "48px", "bf16", "seed3"]


def test_checkpoints_of_one_name_are_told_apart_by_their_folders():
    assert model_words(["vit@a/x/last.pt", "vit@b/x/last.pt", "vit"]) == [
        "vit@a_x_last",
        "vit@b_x_last",
        "vit",
    ]
    assert model_words(["vit@/r/last.pt", "vit@r/last.pt"]) == ["vit@_r_last", "vit@r_last"]
    assert model_words(["vit@a.pt", "resnet18@a.pt"]) == ["vit@a", "resnet18@a"]
    assert model_words(["Vit", "vit"]) == ["Vit-1", "vit-2"]


def test_long_names_are_shortened_and_stay_apart():
    long = "vit@" + "図" * 200
    names = file_names(stems([facts(long, f"{long}{i}") for i in range(2)]), [".nc", ".png"])
    assert len(set(names)) == 4
    for name in names:
        assert name.startswith("cka-vit@図図") and len(os.fsencode(name)) < 170
    assert names[0].removesuffix(".nc") == names[1].removesuffix(".png")
    of_image = file_names(["maps-vit"], [f"-image-{'x' * 300}.a.png"])[0]
    assert of_image.startswith("maps-vit-image-xx") and of_image.endswith(".png")
    assert len(of_image) < 170


def written(folder, runs, words=(), **options):
    files = ResultFiles(str(folder), Writers({".nc": netcdf}), **options)
    files.settle(runs, words)
    return [path.name for path in files.save([result(run) for run in runs])]


def held(folder, name):
    with xr.open_dataset(folder / name, engine="h5netcdf") as found:
        return found.attrs


def test_a_run_replaces_its_own_and_never_anothers(tmp_path, capsys):
    one, other = facts("vit", seed=0), facts("vit", seed=1)
    assert written(tmp_path, [one]) == ["cka-vit-vit.nc"]
    assert written(tmp_path, [one]) == ["cka-vit-vit.nc"]
    assert capsys.readouterr().err == ""
    (name,) = written(tmp_path, [other])
    said = capsys.readouterr().err.splitlines()
    assert name.startswith("cka-vit-vit-") and said == [
        f"note: {tmp_path}/cka-vit-vit.nc holds another run (seed 0, now 1): this one is {name}"
    ]
    assert written(tmp_path, [other]) == [name]
    assert written(tmp_path, [one]) == ["cka-vit-vit.nc"]
    assert held(tmp_path, "cka-vit-vit.nc")["seed"] == 0 and held(tmp_path, name)["seed"] == 1
    assert written(tmp_path, [other], overwrite=True) == ["cka-vit-vit.nc"]
    assert held(tmp_path, "cka-vit-vit.nc")["seed"] == 1


def test_a_file_that_is_no_result_is_left_alone(tmp_path, capsys):
    (tmp_path / "cka-vit-vit.nc").write_text("mine")
    (name,) = written(tmp_path, [facts("vit")])
    assert name != "cka-vit-vit.nc" and (tmp_path / "cka-vit-vit.nc").read_text() == "mine"
    assert "it is no result of vitprobe" in capsys.readouterr().err


def test_a_damaged_result_is_left_alone(tmp_path, capsys):
    whole = netcdf(result(facts("vit", seed=0)))
    for place in range(0, len(whole), 97):
        damaged = whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
        (tmp_path / "cka-vit-vit.nc").write_bytes(damaged)
        files = ResultFiles(str(tmp_path), Writers({".nc": netcdf}))
        files.settle([facts("vit", seed=1)])
        said = capsys.readouterr().err
        assert said.startswith("note: ") and said.count("\n") == 1


def test_a_name_that_was_asked_for(tmp_path):
    one = facts("vit", seed=0)
    assert written(tmp_path, [one], name="mine") == ["mine.nc"]
    assert written(tmp_path, [one], name="mine") == ["mine.nc"]
    refusal = "mine.nc holds another run .*seed 0, now 1.*: give another --name, or --overwrite"
    with pytest.raises(InputError, match=refusal):
        written(tmp_path, [facts("vit", seed=1)], name="mine")
    pair = [facts("vit", "resnet18"), facts("vit", "vit")]
    assert written(tmp_path, pair, name="both") == ["both-vit-resnet18.nc", "both-vit-vit.nc"]
    for wrong in ("a/b", "..", ""):
        with pytest.raises(InputError, match="--name .* is no file name"):
            ResultFiles(str(tmp_path), Writers({}), name=wrong)


def test_a_run_that_ends_meanwhile_is_not_replaced(tmp_path, capsys):
    run, other = facts("vit", seed=0), facts("vit", seed=1)
    files = ResultFiles(str(tmp_path), Writers({".nc": netcdf}))
    files.settle([run])
    written(tmp_path, [other])
    (path,) = files.save([result(run)])
    assert path.name != "cka-vit-vit.nc"
    assert held(tmp_path, "cka-vit-vit.nc")["seed"] == 1


def test_one_file_of_all(tmp_path):
    pair = [facts("vit", "resnet20"), facts("vit", "vit")]
    files = ResultFiles(
        str(tmp_path),
        Writers(
            {".nc": netcdf, ".txt": lambda _: None},
            {"-pairs.png": lambda results: b"y" * len(results)},
        ),
    )
    files.settle(pair, ["seed1"])
    paths = files.save([result(run) for run in pair])
    assert [path.name for path in paths] == [
        "cka-vit-resnet20-seed1.nc",
        "cka-vit-vit-seed1.nc",
        "cka-vit-resnet20-seed1-pairs.png",
    ]
    assert paths[-1].read_bytes() == b"yy"
    assert joint(pair) == "cka-vit-resnet20"


def test_one_file_of_all_under_a_name(tmp_path):
    """Two runs of other models under one name do not share what shows all results."""
    found = set()
    for other in ("resnet20", "resnet18"):
        pair = [facts("vit", other), facts("vit", "vit")]
        files = ResultFiles(
            str(tmp_path),
            Writers({".nc": netcdf}, {"-pairs.png": lambda _: b"y"}),
            name="mine",
        )
        files.settle(pair, ["seed1"])
        found.add(files.save([result(run) for run in pair])[-1].name)
    assert found == {f"mine-vit-{name}-seed1-pairs.png" for name in ("resnet20", "resnet18")}


def test_netcdf_in_memory_is_the_file(tmp_path):
    data = xr.Dataset({"cka": ("layer", [0.5, float("nan")])}, {"layer": ["a", "é"]}, {"n": "x"})
    (tmp_path / "a.nc").write_bytes(netcdf(data))
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as held:
        assert held.identical(data)


def test_results_that_have_no_place_are_put_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    files = ResultFiles(str(tmp_path / "results"), Writers({".txt": lambda _: b"x", ".nc": netcdf}))
    files.settle([facts("vit")])
    (tmp_path / "results").write_text("in the way")
    with pytest.raises(InputError, match="cannot write to .*results: .*results are in") as raised:
        files.save([result(facts("vit"))])
    folder = Path(str(raised.value).split("results are in ")[1].removesuffix(" instead"))
    assert (folder / "cka-vit-vit.txt").read_bytes() == b"x"
