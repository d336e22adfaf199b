"""Commands under torchrun: what one process gives, said and written by the first alone."""

import numpy as np
import xarray as xr
from gang import gang
from pass_work import command

WORDS = ["attention", "--models", "vit@digits", "--examples", 48, "--batch-size", 8]


def test_a_command_of_two_processes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    ((_, alone),) = gang(1, command, tmp_path / "one", *WORDS)
    (_, first), (_, second) = gang(2, command, tmp_path / "two", *WORDS)
    assert alone[0] == first[0] == second[0] == 0, first
    assert second[1:] == ("", "") and first[1].count("wrote") == 3
    written = [
        sorted(p.name for p in (tmp_path / name / "results").iterdir()) for name in ("one", "two")
    ]
    assert written[0] == written[1] and len(written[0]) == 3
    datasets = [
        xr.open_dataset(tmp_path / name / "results" / written[0][1]) for name in ("one", "two")
    ]
    for name, values in datasets[0].variables.items():
        if values.dtype.kind == "f" and not name.endswith("_se"):
            np.testing.assert_allclose(datasets[1][name], values, rtol=1e-12)
    # all of them learn that nothing is left to do
    (_, first), (_, second) = gang(2, command, tmp_path / "two", *WORDS, "--resume")
    assert (first[0], second[0]) == (0, 0) and "finished" in first[1] and second[1] == ""


def test_wrong_input_is_said_once_and_ends_all(tmp_path):
    found = gang(2, command, tmp_path, *WORDS, "--grid", "3x3", timeout=60)
    said = [each[2] for _, each in found if each is not None]
    assert all(each is None or each[0] == 2 for _, each in found)
    assert any("grid" in line for line in said)
    assert not (tmp_path / "results").exists()
