"""`vitprobe cka --null`: files, table, summary; finished, drawn again; wrong input."""

import csv

import pytest
import xarray as xr

SMALL = ("--examples", 40, "--batch-size", 8, "--layers", "blocks")
CKA = ("cka", "--models", "vit,resnet20", *SMALL, "--null", 50)
NAME = "cka-vit-resnet20-blocks-null50-examples40"


def load(path):
    return xr.load_dataset(path, engine="h5netcdf")


def test_files_table_and_summary(vitprobe_command, tmp_path):
    ran = vitprobe_command(*CKA, "--output", "out")
    assert ran.code == 0, ran.err
    result = load(tmp_path / "out" / f"{NAME}.nc")
    with open(tmp_path / "out" / f"{NAME}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ["null_mean", "null_line", "p_value", "calibrated"]
    assert list(rows[0]) == ["layer_a", "layer_b", "cka", "cka_se", "hsic", *columns, "blank"]
    for row in rows[::11]:
        here = result.sel(layer_a=row["layer_a"], layer_b=row["layer_b"])
        for name in columns:
            assert float(row[name]) == pytest.approx(here[name].item(), abs=1e-12)
    lines = [line for line in ran.out.splitlines() if "above chance" in line]
    above = int((result["cka"] > result["null_line"]).sum())
    best = [int((result[f"p_value_best_{side}"] <= 0.05).sum()) for side in "ab"]
    share = [
        f"all {count}" if some == count else f"{some} of {count}"
        for some, count in zip([above, *best], [70, 7, 10], strict=True)
    ]
    assert lines[0] == (
        f"chance   vit and resnet20: {share[0]} pairs of layers are above chance (a line that 5 % "
        f"of 50 permutations exceed); so are the best matches of {share[1]} layers of vit and "
        f"{share[2]} layers of resnet20"
    )
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "vit and vit",
        "resnet20 and resnet20",
    ]
    ended = vitprobe_command(*CKA, "--output", "out", "--resume")
    assert ended.code == 0 and "finished" in ended.out
    ended = vitprobe_command("plot", f"out/{NAME}.nc", "--output", "again.png")
    assert ended.code == 0, ended.err


def test_more_permutations_than_there_is_memory_for(vitprobe_command):
    ended = vitprobe_command("cka", "--models", "vit", "--layers", "blocks", "--null", 10**9)
    assert ended.code == 2 and len(ended.err.strip().splitlines()) == 1
    assert "fewer permutations (--null)" in ended.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--null", 5), "--null 5: at least 19 permutations are needed for a line"),
        (("--null", "many"), "should be a valid integer"),
        (("--nul", 200), "--null"),
    ],
)
def test_wrong_input(vitprobe_command, tmp_path, words, said):
    ended = vitprobe_command("cka", "--models", "vit", *words)
    assert ended.code == 2
    assert len(ended.err.strip().splitlines()) == 1 and said in ended.err
    assert not list(tmp_path.iterdir())
