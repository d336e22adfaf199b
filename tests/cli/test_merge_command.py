"""`vitprobe merge`: shares of a run become the files that the run would have written."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image

SMALL = ("--examples", 40, "--batch-size", 8)
CKA = ("cka", "--models", "vit@digits,resnet20@digits", "--layers", "blocks", *SMALL)
ATTENTION = ("attention", "--models", "vit@digits,vit", *SMALL)
HEADS = ("head-subsets", "--models", "vit@digits,resnet20@digits", *SMALL)
OTHERWISE = (
    *("cka", "--models", "resnet20", "--layers", "blocks", "--passes", 2, "--examples", 24),
    *("--batch-size", 8, "--order", "seeded", "--seed", 5, "--image-size", 24, "--split", "train"),
    *("--precision", "bf16", "--estimator", "biased", "--kernel", "rbf:0.4", "--tokens", "mean"),
)
FILE_ORDER = ("attention", "--models", "vit", "--order", "file", "--examples", 24)


def shares(run, words, count, folder="shares"):
    for index in range(1, count + 1):
        ended = run(*words, "--shard", f"{index}/{count}", "--output", folder)
        assert ended.code == 0, ended.err
    return sorted(folder_of(folder).glob("*.partial"))


def folder_of(name):
    return Path.cwd() / name


def contents(folder):
    return {path.name: path for path in folder_of(folder).iterdir()}


def told(out):
    """What a summary says of the results: without the files' folder and the seconds."""
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if not line)  # after what is said before
    kept = [line for line in lines[start:] if not line.startswith(("seconds", "wrote", "used"))]
    return "\n".join(kept).strip()


@pytest.mark.parametrize(
    ("words", "count"),
    [
        pytest.param(CKA, 2, marks=pytest.mark.drawn),
        (ATTENTION, 3),
        (HEADS, 2),
        (OTHERWISE, 2),
        (FILE_ORDER, 7),
    ],
    ids=["cka", "attention", "head-subsets", "otherwise", "file-order"],
)
def test_what_the_command_would_have_written(vitprobe_command, words, count):
    whole = vitprobe_command(*words, "--output", "whole")
    assert whole.code == 0, whole.err
    paths = shares(vitprobe_command, words, count)
    assert len(paths) == count
    before = [path.read_bytes() for path in paths]
    ended = vitprobe_command("merge", *paths[::-1], "--output", "merged")
    assert ended.code == 0, ended.err
    expected, found = contents("whole"), contents("merged")
    assert sorted(found) == sorted(expected)
    for name in found:
        if name.endswith(".nc"):
            one, other = (
                xr.load_dataset(each[name], engine="h5netcdf") for each in (found, expected)
            )
            for key in (key for key in one.variables if not str(key).endswith("_se")):
                if one[key].dtype.kind == "f":
                    np.testing.assert_allclose(one[key], other[key], 1e-12, 1e-14, err_msg=key)
                else:
                    assert one[key].values.tolist() == other[key].values.tolist()
            assert one.attrs["run"] == other.attrs["run"]
            assert one.attrs["notes"] == other.attrs["notes"]
        elif name.endswith(".png"):
            with Image.open(found[name]) as mine, Image.open(expected[name]) as theirs:
                assert mine.size == theirs.size
        else:
            assert len(found[name].read_text().splitlines()) > 2
    assert told(ended.out) == told(whole.out)
    assert f"merged   {count} files with " in ended.out
    assert [path.read_bytes() for path in paths] == before, "the partials are left alone"


def test_a_name_and_results_that_are_there(vitprobe_command):
    paths = shares(vitprobe_command, FILE_ORDER, 2)
    for _ in range(2):  # a run takes its own place again
        assert vitprobe_command("merge", *paths, "--name", "mine").code == 0
    assert sorted(contents("results")) == ["mine.csv", "mine.nc", "mine.png"]
    other = ("attention", "--models", "vit", "--examples", 16)
    assert vitprobe_command(*other, "--name", "mine", "--overwrite").code == 0
    ended = vitprobe_command("merge", *paths, "--name", "mine")
    assert ended.code == 2
    assert "holds another run" in ended.err and "order seeded, now file" in ended.err
    assert not ended.out
    assert vitprobe_command("merge", *paths, "--name", "mine", "--overwrite").code == 0
    assert vitprobe_command("merge", *paths, "--name", "a/b").code == 2


def test_missing_shares(vitprobe_command):
    paths = shares(vitprobe_command, CKA, 3)
    ended = vitprobe_command("merge", paths[0], paths[2])
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "vitprobe: batches 1 and 4 of 5 are missing (share 2/3): give the partials that hold "
        "them, too; --allow-missing goes on without them\n"
    )
    assert not folder_of("results").exists()
    ended = vitprobe_command("merge", paths[0], paths[2], "--allow-missing")
    assert ended.code == 0
    assert "note: batches 1 and 4 of 5 are missing (share 2/3)" in ended.err.splitlines()
    assert "merged   2 files with 3 of 5 batches" in ended.out
    for path in folder_of("results").glob("*.nc"):
        attrs = xr.load_dataset(path, engine="h5netcdf").attrs
        assert "batches 1 and 4 of 5 are missing (share 2/3)" in attrs["notes"].splitlines()
        assert (attrs["examples"], attrs["batches"], attrs["incomplete"]) == (24, 3, 1)
    ended = vitprobe_command(*CKA, "--resume")
    assert "of 5 batches" not in ended.out and "wrote" in ended.out, "it was not finished"
    ended = vitprobe_command("merge", *paths[:2], "--allow-missing")
    assert ended.code == 2 and "holds this run without missing batches" in ended.err
    assert vitprobe_command("merge", *paths[:2], "--allow-missing", "--overwrite").code == 0
    ended = vitprobe_command("merge", *paths, "--allow-missing")
    assert "merged   3 files with 5 of 5 batches" in ended.out and "missing" not in ended.err
    for path in folder_of("results").glob("*.nc"):
        assert "incomplete" not in xr.load_dataset(path, engine="h5netcdf").attrs


def test_one_line_each(vitprobe_command, tmp_path):
    cka = shares(vitprobe_command, CKA, 1, "cka")
    other = shares(vitprobe_command, (*CKA, "--seed", 3), 1, "other")
    attention = shares(vitprobe_command, FILE_ORDER, 1, "attention")
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.partial").write_text("sums")
    damaged = tmp_path / "damaged.partial"
    damaged.write_bytes(cka[0].read_bytes()[:-9] + bytes(9))
    cut = tmp_path / "cut.partial"
    cut.write_bytes(cka[0].read_bytes()[:500])
    for words, line in (
        ([], "Missing argument 'PARTIAL...'."),
        (["none.partial"], "no partial none.partial: check the path"),
        (["shards/*.partial"], "no file is called as shards/*.partial says: check the pattern"),
        (["folder"], "partial folder is a folder: name a file"),
        (["text.partial"], "cannot read text.partial: it is cut short, or no partial of vitprobe"),
        (["cut.partial"], "cannot read cut.partial: it is cut short, or no partial of vitprobe"),
        (["damaged.partial"], "cannot read damaged.partial: it is damaged"),
        ([*cka, *cka], "is given twice"),
        ([*cka, *other], "are of two runs, which cannot be merged (seed 0 and 3)"),
        ([*cka, *attention], "cannot be merged (analyses cka and attention)"),
        (["--allow-missing", ""], "partial '' is no path"),
    ):
        ended = vitprobe_command("merge", *words)
        assert ended.code == 2 and line in ended.err, ended.err
        assert ended.err.count("\n") == 1 and not ended.out
    assert not folder_of("results").exists()
    assert vitprobe_command("merge", *cka).code == 0, "one file that holds all"


def test_all_analyses_of_a_pass(vitprobe_command):
    """What `vitprobe.run` left for several readers gives the files of each."""
    from vitprobe.analyses.attention_reader import AttentionReader
    from vitprobe.analyses.cka_reader import CKAReader
    from vitprobe.input_options import InputOptions
    from vitprobe.passes.inputs import prepare
    from vitprobe.passes.keeper import Keeper
    from vitprobe.passes.run import run
    from vitprobe.passes.share import Share

    for index in range(2):
        images = prepare(["vit@digits"], "digits", InputOptions(examples=24, batch_size=8))
        keeper = Keeper(folder_of(f"{index}.partial"), Share(index, 2))
        run(images, [CKAReader("blocks"), AttentionReader()], keeper=keeper)
    assert vitprobe_command("merge", "0.partial", "1.partial").code == 0
    stems = ["attention-vit@digits-examples24", "cka-vit@digits-vit@digits-blocks-examples24"]
    kinds = [".csv", ".nc", ".png"]
    assert sorted(contents("results")) == [stem + kind for stem in stems for kind in kinds]
    ended = vitprobe_command("merge", "0.partial", "1.partial", "--name", "x", "--output", "named")
    assert ended.code == 0
    stems = ["x-attention", "x-cka"]
    assert sorted(contents("named")) == [stem + kind for stem in stems for kind in kinds]
