"""CKA with its null, other measures, probes and models compared: in one pass together, and the same
numbers of several processes, of shares, of a run that was stopped, and of each alone.
"""

import numpy as np
import pytest
import torch
from gang import gang
from known_work import BATCH, COUNT, READERS, STREAMED, TOGETHER, TRAINED, known
from paper_work import Plain
from pass_work import vit

import vitprobe
from vitprobe.errors import Stopped
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.partial import read_partial
from vitprobe.passes.share import Share

ANALYSES = ["cka"] * 3 + ["measures"] * 3 + ["probe"] * 4 + ["compare"]
BATCHES = -(-COUNT // BATCH)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As in the processes: others add up in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def readers():
    return [make() for make in READERS.values()]


@pytest.fixture(scope="module")
def whole(readers):
    return known(readers=readers)


def same(found, wanted, bits=False):
    """To 1e-9 of the values; of standard errors their squares, which are differences of sums."""
    assert [each.attrs["analysis"] for each in found] == [each.attrs["analysis"] for each in wanted]
    for ours, theirs in zip(found, wanted, strict=True):
        assert list(ours.variables) == list(theirs.variables)
        for name in theirs.variables:
            a, b = ours[name], theirs[name]
            if bits or a.dtype.kind not in "f" or name in ("p_value", "accuracy"):  # these count
                assert a.identical(b), name
            elif name.endswith("_se"):
                np.testing.assert_allclose(a**2, b**2, rtol=1e-9, atol=1e-14, err_msg=name)
            else:
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12, err_msg=name)
        for name in ("run", "examples", "notes"):
            assert ours.attrs[name] == theirs.attrs[name], name


def test_all_are_there(whole):
    assert [each.attrs["analysis"] for each in whole] == ANALYSES
    none = [f"{spec.replace(':', '_')}_se" for spec in TOGETHER]  # errors there are none of
    for each in whole:
        assert each.attrs["examples"] == COUNT
        for name in each:
            if each[name].dtype.kind == "f":
                blank = name in none or (name == "l2" and each.attrs["solver"] == "knn")
                assert each[name].notnull().any() != blank, (each.attrs["analysis"], name)
    for cka in whole[:3]:
        assert {"null_line", "p_value", "calibrated", "p_value_best"} <= set(cka)
    hows = [set(probe["solved_by"].values) for probe in whole[6:10]]
    assert hows == [{"sums"}, {"sums"}, {"neighbours"}, {"neighbours"}]


def test_only_rows_of_features_and_labels_grow_with_the_examples(readers, whole):
    """Of probes with sums those of held-out and test images, of neighbours those of all."""
    more = [make() for make in READERS.values()]
    known(size=(2 * COUNT, 2 * TRAINED), readers=more)

    def shapes(readers):
        return {
            (name, key, state): tuple(getattr(metric, state).shape)
            for name, reader in zip(READERS, readers, strict=True)
            for key, metric in reader.metrics.items()
            for state in metric._defaults
        }

    few, many = shapes(readers), shapes(more)
    assert few.keys() == many.keys() and len(few) > 100
    kept = len(readers[2].roles.held) + len(readers[2].roles.test)
    assert COUNT - TRAINED < kept < COUNT / 2
    growing = {key: shape[0] for key, shape in few.items() if many[key] != shape}
    assert growing == (
        {("measures", "rows", state): COUNT for state in ("rows", "seen")}
        | {("probe", f"site{k}.{s}", "kept"): kept for k in range(2) for s in range(3)}
        | {("knn", f"site{k}.{s}", "kept"): COUNT for k in range(2) for s in range(3)}
        | {
            (name, f"told{k}", state): COUNT
            for name in ("probe", "knn")
            for k in range(2)
            for state in ("labels", "own")
        }
    )
    for key, count in growing.items():
        rows, *rest = many[key]
        assert rest == list(few[key][1:]) and abs(rows - 2 * count) <= 3, key  # held out by class
    features = 24 + 24 + 5 + 6 + 8 + 10  # a token's or a channel's mean each
    assert few["measures", "rows", "rows"] == (COUNT, features)


def test_two_processes_give_the_same(whole):
    for code, found in gang(2, known):
        assert code == 0
        same(found, whole)


def test_shares_give_the_same(whole, tmp_path):
    paths = [tmp_path / f"{k}.partial" for k in range(3)]
    for k, path in enumerate(paths):
        assert known(keeper=Keeper(path, Share(k, 3))) == []
    same(vitprobe.merge([paths[k] for k in (2, 0, 1)]), whole)


def test_a_stopped_run_goes_on(whole, tmp_path, stop_after):
    path = tmp_path / "x.partial"

    def end():
        raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Stopped)):
        known(keeper=Keeper(path, every=1e-9), told=stop_after(4, end))
    assert 0 < len(read_partial(path).done) < BATCHES
    same(known(keeper=Keeper(path, resume=True)), whole, bits=True)


@pytest.mark.parametrize("name", READERS)
def test_each_alone_is_as_beside_the_others(whole, name):
    solver = {"probe": "ridge", "knn": "knn"}.get(name)
    kind = "probe" if solver else name
    beside = [each for each in whole if each.attrs["analysis"] == kind]
    same(known([name]), [each for each in beside if each.attrs.get("solver") == solver], bits=True)


def test_blanks_have_reasons():
    """A vit whose last block is not finite, a CNN whose second layer is still."""
    broken, still = vit(), Plain()
    with torch.no_grad():
        broken.blocks[1].mlp.fc2.weight[0, 0] = torch.nan
        still.layers[2].weight.zero_()
    found = known(models=[{"vit": broken}, {"cnn": still}])
    assert [each.attrs["analysis"] for each in found] == ANALYSES
    wanted = {"vit": ["", "non-finite", "non-finite"], "cnn": ["", "constant", "constant"]}

    def blank_of(reasons, model):
        """(3,) bool, the reasons being as they should be."""
        for reason, words in zip(reasons.values, wanted[model], strict=True):
            assert reason.startswith(words) and bool(reason) == bool(words), (model, reason)
        return np.array([bool(words) for words in wanted[model]])

    measures = [spec.replace(":", "_") for spec in (*STREAMED, *TOGETHER)]
    for result in found[:6]:
        cka = result.attrs["analysis"] == "cka"
        for name in ["cka", "p_value", "calibrated"] if cka else measures:
            blank = "blank" if cka else f"{name}_blank"
            a, b = (
                blank_of(result[f"{blank}_{side}"], result.attrs[f"model_{side}"]) for side in "ab"
            )
            np.testing.assert_array_equal(result[name].isnull(), a[:, None] | b, err_msg=name)
    for result in found[6:10]:
        blank = blank_of(result["blank"], result.attrs["model"])
        np.testing.assert_array_equal(result["accuracy"].isnull(), blank)
        assert (result["solved_by"].values != "").tolist() == (~blank).tolist()
    compared = found[10]
    for model in ("vit", "cnn"):
        own = compared["site_model"].values == model
        blank = blank_of(compared["site_blank"][own], model)
        best = compared["best"].values[own]
        np.testing.assert_array_equal(np.isnan(best), np.stack([blank, blank], 1))
    assert compared["layers_compared"].values.tolist() == [1, 1]
    assert (compared["blank"] == "").all() and compared["similarity"].notnull().all()
