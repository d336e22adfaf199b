"""`vitprobe cka --features`: files of activations instead of models."""

import numpy as np
import pytest
import xarray as xr

SMALL = ("--batch-size", 8)


@pytest.fixture
def files(tmp_path):
    """a.npz and b.npz, layers conv1 and conv2 of 64 examples; c.npy of 9."""
    numbers = np.random.default_rng(0)
    for name in "ab":
        arrays = {f"conv{k}": numbers.normal(size=(64, 3, k + 2)) for k in (1, 2)}
        np.savez(tmp_path / f"{name}.npz", **arrays)
    np.save(tmp_path / "c.npy", numbers.normal(size=(9, 3)))
    return tmp_path


def values(path, name="cka"):
    return xr.load_dataset(path, engine="h5netcdf")[name].values


@pytest.mark.parametrize(
    "words",
    [
        ("--features", "a.npz", "late=b.npz"),
        ("--features", "a.npz,late=b.npz"),
        ("--features", "a.npz", "--features", "late=b.npz"),
    ],
)
def test_several_files(vitprobe_command, files, words):
    ended = vitprobe_command("cka", *words, *SMALL)
    assert ended.code == 0, ended.err
    found = sorted(path.name for path in (files / "results").glob("*.nc"))
    end = "-stored_features.nc"
    assert found == [f"cka-{pair}{end}" for pair in ("a-a", "a-late", "late-late")]
    for told in (
        "features a (a.npz): 2 arrays, 1.08e-05 GB",
        "features late (b.npz): 2 arrays",
        "stored features: 64 examples in 8 batches of 8, seeded order; CKA unbiased, linear",
        "each layer of a and its best match in late",
    ):
        assert told in ended.out
    assert "random" not in ended.out and ended.err == ""


@pytest.mark.drawn
def test_one_file_drawn_with_other_measures_and_a_null(vitprobe_command, files):
    asked_for = ("--measure", "cka,rsa", "--null", 19, "--layers", "conv*", "--name", "x")
    ended = vitprobe_command("cka", "--features", "a.npz", *asked_for, *SMALL)
    assert ended.code == 0, ended.err
    assert {"x.nc", "x.png", "x.csv", "x-measures.png"} == {
        path.name for path in (files / "results").iterdir()
    }
    assert values(files / "results" / "x.nc", "rsa").shape == (2, 2)
    assert np.isfinite(values(files / "results" / "x.nc", "p_value")[0, 1])


def test_shares_are_merged_and_a_run_goes_on(vitprobe_command, files):
    same = ("cka", "--features", "a.npz", "b.npz", *SMALL)
    assert vitprobe_command(*same, "--output", "whole").code == 0
    for share in ("1/2", "2/2"):
        assert vitprobe_command(*same, "--output", "parts", "--shard", share).code == 0
    partials = sorted((files / "parts").glob("*.partial"))
    merged = vitprobe_command("merge", *partials, "--output", "merged")
    assert merged.code == 0, merged.err
    for path in (files / "whole").glob("*.nc"):
        assert np.allclose(values(path), values(files / "merged" / path.name), rtol=0, atol=1e-12)
    again = vitprobe_command(*same, "--output", "parts", "--shard", "1/2", "--resume")
    assert "share 1/2 of this run is in" in again.out
    held = dict(np.load(files / "b.npz"))
    held["conv1"][5, 0, 0] += 1
    np.savez(files / "b.npz", **held)
    other = vitprobe_command(*same, "--output", "parts", "--shard", "1/2", "--resume")
    assert "weights sha256" in other.err  # another run: the numbers are others


@pytest.mark.parametrize(
    "words, expected",
    [
        (
            (),
            "nothing to compare: give --models, such as vit@digits,resnet20@digits, or --features",
        ),
        (("a.npz",), "'a.npz' stands alone: --models or --features goes before it"),
        (("--features", "a.npz", "--models", "vit"), "takes the place of --models"),
        (("--features", "a.npz", "d.npz"), "no features d.npz: check the path"),
        (("--features", "a.npz", "a.npz"), "two are called 'a': give each its own label"),
        (
            ("--features", "a.npz", "c.npy"),
            "features a.npz has 64 examples, features c.npy 9: both hold the same ones",
        ),
        (("--features", "a.npz,"), "--features has an empty name"),
        (("--features", "=a.npz"), "write it as in"),
        (("--features", "a.npz", "--layers", "conv"), "(its arrays: conv1, conv2); did you mean"),
        (("--features", "a.npz", "--layers", "blocks"), "no blocks found"),
        (
            ("--features", "a.npz", "b.npz", "--layers", "a", "--layers", "b", "--layers", "c"),
            "--layers was given 3 times for 2 files",
        ),
        (("--features", "a.npz", "--examples", 65), "asked for 65 examples, but there are 64"),
        *(
            (("--features", "a.npz", option, *value), f"{option} has no effect on --features")
            for option, *value in (
                ("--image-size", 32),
                ("--mean", "0.5"),
                ("--split", "train"),
                ("--precision", "bf16"),
                ("--workers", 2),
                ("--dataset", "cifar10"),
                ("--tokens", "cls"),
                ("--skip-bad-images",),
            )
        ),
    ],
)
def test_wrong_input(vitprobe_command, files, words, expected):
    ended = vitprobe_command("cka", *words)
    assert ended.code == 2
    assert expected in ended.err and len(ended.err.splitlines()) == 1
    assert not (files / "results").exists()
