"""Sections of many models: matrix and tables, studies, training runs."""

import csv

import made_sizes
import numpy as np
import pytest
import xarray as xr
from made_compare import made_compare

from vitprobe.analyses.training import training_result
from vitprobe.errors import InputError
from vitprobe.report.sections import compare, compare_training, data_size, model_size, training
from vitprobe.training.state import COLUMNS


def by_name(figure):
    return {each.name: each for each in figure.series}


def test_models_in_the_order_of_the_dendrogram():
    result = made_compare(4, blank=(2,))
    matrix, pairs, *_ = compare.figures([result])
    order = np.argsort(result["order"].values)
    assert matrix.rows.names == [str(result["model"].values[k]) for k in order]
    sheets = {sheet.name: sheet for sheet in matrix.sheets}
    for title, name in (("similarity", "similarity"), ("similarity above chance", "calibrated")):
        wanted = result[name].values[np.ix_(order, order)]
        np.testing.assert_array_equal(sheets[title].values, wanted)
    chance = result["null_line"].values[np.ix_(order, order)]
    np.testing.assert_array_equal(sheets["similarity"].line, chance)
    assert sum(map(bool, sheets["similarity"].blank[0])) == 1
    at = {name: k for k, name in enumerate(result["model"].values.tolist())}
    assert len(pairs.rows) == 6
    for one, two, value, error, *_ in pairs.rows:
        place = at[one], at[two]
        np.testing.assert_equal([value, error], [result[key].values[place] for key in
                                                 ("similarity", "similarity_se")])  # fmt: skip
    known = [row[2] for row in pairs.rows if np.isfinite(row[2])]
    assert known == sorted(known, reverse=True) and len(known) == 3


def test_best_matches_of_every_layer():
    best = np.array([[1.0, 0.7], [1.0, 0.8], [0.8, 1.0]])
    result = made_compare(2).assign(
        best=(("site", "model2"), best),
        best_se=(("site", "model2"), best / 10),
        match=(("site", "model2"), [["x", "z"], ["y", "z"], ["y", "z"]]),
        alike=(("site", "site2"), np.array([[1, 0, 1], [0, 1, 1], [1, 1, 1]], bool)),
    )
    one, two = result["model"].values.tolist()
    result = result.assign_coords(
        site_model=("site", [one, one, two]), site_layer=("site", ["x", "y", "z"])
    )
    *_, matches = compare.figures([result])
    assert matches.rows == [
        [one, "x", two, "z", 0.7, pytest.approx(0.07), 1],
        [one, "y", two, "z", 0.8, pytest.approx(0.08), 1],
        [two, "z", one, "y", 0.8, pytest.approx(0.08), 2],
    ]


def test_parts_of_the_data_against_all_of_it():
    result = made_sizes.made({"vit": 2, "resnet20": 3}, (1.0, 0.1), without=["resnet20"])
    accuracy, cka, distance, *others = data_size.figures([result])
    values = 100 * result["accuracy"].sel(model="vit")
    line = by_name(accuracy)["vit"]
    assert line.x == pytest.approx([10, 100]) and accuracy.x.log
    np.testing.assert_allclose(line.y, values.mean("seed").sel(fraction=[0.1, 1.0]))
    np.testing.assert_allclose(line.low, values.min("seed").sel(fraction=[0.1, 1.0]))
    assert accuracy.band == "lowest to highest of 3 seeds"
    assert accuracy.caption.startswith("No attention distance of resnet20: ")
    small, other = cka.series
    seeds = result["cka"].sel(model="vit", fraction=0.1).values[:, :3]
    np.testing.assert_allclose(small.y, seeds.mean(0))
    np.testing.assert_allclose(small.high, seeds.max(0))
    assert small.name == "10 % of the training set" and not small.dashed
    seeds = result["cka_other_seeds"].sel(model="vit", fraction=1.0).values[:, :3]
    np.testing.assert_allclose(other.y, seeds.mean(0))
    assert other.dashed and cka.ordered and distance.title == "Attention distance, vit"
    assert not any(each.title == "Attention distance, resnet20" for each in others)


def test_sizes_of_a_family():
    result = made_sizes.made({"small": 2, "large": 4}, fraction=False, seeds=1)
    accuracy, cka, *_ = model_size.figures([result])
    assert all(line.low is None for line in accuracy.series)  # one seed has no range
    (line,) = [each for each in cka.series if each.name == "small"]
    np.testing.assert_allclose(line.y, result["cka"].sel(model="small").values[0, :3])
    assert line.x[:2].tolist() == [0, 1] and line.x[2] > 1  # the output last
    assert cka.x.title == "relative depth (the output last)"


def study():
    dims, numbers = ("model", "pretraining", "fraction", "seed"), np.random.default_rng(0)
    accuracy = numbers.uniform(0.2, 0.9, (2, 1, 2, 3))
    accuracy[1, 0, 0] = np.nan
    curve = numbers.uniform(0.2, 0.9, (2, 1, 2, 3, 4))
    reason = np.where(np.isnan(accuracy), "diverged", "")
    return xr.Dataset(
        {"accuracy": (dims, accuracy), "reason": (dims, reason),
         "epoch_accuracy": ((*dims, "epoch"), curve)},
        {"model": ["vit", "resnet"], "pretraining": ["none"], "fraction": [1.0, 0.1],
         "seed": [0, 1, 2], "epoch": [1, 2, 3, 4]},
        {"analysis": "compare_training", "title": "A study", "num_classes": 10},
    )  # fmt: skip


def test_runs_of_a_study():
    result = study()
    table, accuracy, curves = compare_training.figures([result])
    values = 100 * result["accuracy"].values
    assert table.rows[0][:3] == ["vit", "none", 100]
    assert table.rows[0][3:6] == pytest.approx([f(values[0, 0, 0]) for f in (np.mean, min, max)])
    assert table.rows[2][-2:] == [0, "diverged"] and np.isnan(table.rows[2][3])
    np.testing.assert_allclose(by_name(accuracy)["vit"].x, [10, 100])
    np.testing.assert_allclose(by_name(accuracy)["vit"].y, values[0, 0, ::-1].mean(1))
    np.testing.assert_array_equal(np.isnan(by_name(accuracy)["resnet"].y), [False, True])
    assert accuracy.levels[0].y == 10 and curves.picks == "training set"
    assert [(line.name, line.group, line.colour) for line in curves.series] == [
        *(("vit", "100 %", 0), ("vit", "10 %", 0), ("resnet", "100 %", 1), ("resnet", "10 %", 1)),
    ]
    seeds = 100 * result["epoch_accuracy"].values[1, 0, 0]
    np.testing.assert_allclose(curves.series[2].y, seeds.mean(0))
    np.testing.assert_allclose(curves.series[2].low, seeds.min(0))
    one = compare_training.figures([result.isel(fraction=[0])])[1]
    assert one.x.names == ["none"] and not one.series[0].line


ROWS = [[1, 2.0, 1.9, 0.3, 1.8, 0.35, 0.1, 5.0], [2, 1.0, 0.8, 0.7, 0.9, 0.65, 0.05, 5.5],
        [3, 0.5, 0.9, 0.6, "nan", 0.6, 0.0, 5.1]]  # fmt: skip


def table(path, rows=ROWS, head=COLUMNS):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def test_a_training_run_from_its_table(tmp_path):
    result = training_result(table(tmp_path / "run.csv"))
    assert result.attrs == {"analysis": "training", "model": "run", "best_epoch": 2}
    np.testing.assert_array_equal(result["test_loss"], [1.8, 0.9, np.nan])
    loss, accuracy, rate = training.figures([result])
    assert list(by_name(loss)) == ["training", "validation", "test"]
    np.testing.assert_array_equal(by_name(loss)["validation"].y, [1.9, 0.8, 0.9])
    np.testing.assert_array_equal(by_name(loss)["validation"].x, [1, 2, 3])
    np.testing.assert_allclose(by_name(accuracy)["test"].y, [35, 65, 60])
    np.testing.assert_array_equal(rate.series[0].y, [0.1, 0.05, 0])
    assert loss.caption == "The best by validation: epoch 2 of run."
    other = training_result(table(tmp_path / "other.csv", ROWS[:1]))
    titles = [each.title for each in training.figures([result, other])]
    assert titles[:3] == [f"Loss, {name} images" for name in ("training", "validation", "test")]


@pytest.mark.parametrize(
    ("rows", "head"),
    [
        ([], COLUMNS),
        (ROWS, ["layer", *COLUMNS[1:]]),
        ([ROWS[1]], COLUMNS),
        ([ROWS[0][:-1]], COLUMNS),
        ([[*ROWS[0][:-1], "<script>"]], COLUMNS),
    ],
)
def test_what_is_no_table_of_a_run(rows, head, tmp_path):
    with pytest.raises(InputError, match=r"wrong\.csv is no table of a training run"):
        training_result(table(tmp_path / "wrong.csv", rows, head))


def test_command_and_settings_of_a_run_are_told(tmp_path):
    from safetensors.numpy import save_file

    about = {"command": '"vitprobe train scratch"', "settings": '{"model": "vit", "seed": 3}'}
    save_file({"weight": np.zeros(1)}, tmp_path / "run.safetensors", about)
    attrs = training_result(table(tmp_path / "run.csv")).attrs
    assert attrs["command"] == "vitprobe train scratch"
    assert (attrs["architecture"], attrs["seed"]) == ("vit", 3)
    (tmp_path / "run.safetensors").write_bytes(b"damaged")
    assert "command" not in training_result(table(tmp_path / "run.csv")).attrs
