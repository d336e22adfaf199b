"""Probes of a run that is divided, stopped or gone on with are those of one that is not."""

import numpy as np
import pytest
import torch
from probe_work import BATCH, COUNT, READERS, TRAINED, named, probes, unnamed

import vitprobe
from vitprobe.errors import InputError, Stopped
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.partial import read_partial
from vitprobe.passes.share import Share

DATA = {"named": named, "unnamed": unnamed}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Others add up in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole():
    return {name: probes(make) for name, make in DATA.items()}


def same(found, wanted):
    assert len(found) == len(wanted) == len(READERS)
    for ours, theirs in zip(found, wanted, strict=True):
        for name in theirs.variables:
            if name == "l2":
                np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-12)
            else:
                assert ours[name].identical(theirs[name]), name
        for name in ("run", "examples", "notes", "examples_train", "examples_test", "chance"):
            assert ours.attrs[name] == theirs.attrs[name], name


def test_all_are_there(whole):
    for results in whole.values():
        for each in results:
            assert each["accuracy"].notnull().any("layer").all()
    hows = [set(each["solved_by"].values[:2].tolist()) for each in whole["named"]]
    assert hows == [{"sums"}, {"sums"}, {"dual"}, {"neighbours"}]
    ridge = whole["named"][0]
    assert ridge["accuracy"].max() > 0.6 and ridge.attrs["examples_test"] == COUNT - TRAINED


@pytest.mark.parametrize("name", DATA)
def test_shares_give_the_same(whole, tmp_path, name):
    paths = [tmp_path / f"{k}.partial" for k in range(3)]
    for k, path in enumerate(paths):
        assert probes(DATA[name], Keeper(path, Share(k, 3))) == []
    same(vitprobe.merge([paths[k] for k in (2, 0, 1)]), whole[name])


@pytest.mark.parametrize("name", DATA)
def test_a_stopped_run_goes_on(whole, tmp_path, stop_after, name):
    path = tmp_path / "x.partial"

    def end():
        raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Stopped)):
        probes(DATA[name], Keeper(path, every=1e-9), stop_after(4, end))
    assert 0 < len(read_partial(path).done) < COUNT // BATCH
    same(probes(DATA[name], Keeper(path, resume=True)), whole[name])


def test_a_missing_share_is_no_image_of_zeros(tmp_path):
    paths = [tmp_path / f"{k}.partial" for k in range(3)]
    for k, path in enumerate(paths):
        probes(named, Keeper(path, Share(k, 3)))
    with pytest.warns(Warning, match="missing"):
        found = vitprobe.merge(paths[:2], allow_missing=True)
    for each in found:
        assert each.attrs["incomplete"] == 1
        assert each.attrs["examples_test"] < COUNT - TRAINED


def test_other_probes_do_not_go_on_from_these(tmp_path):
    path = tmp_path / "x.partial"
    probes(named, Keeper(path), readers=[vitprobe.ProbeReader("blocks")])
    others = [vitprobe.ProbeReader("blocks", solver="knn")]
    with pytest.raises(InputError, match="is of another run .solver ridge, now knn"):
        probes(named, Keeper(path, resume=True), readers=others)


def test_features_to_fit_on_are_not_kept():
    reader = vitprobe.ProbeReader("blocks")
    probes(named, readers=[reader])
    rows = {len(reader.metrics[f"site0.{s}"].kept) for s in range(2)}
    assert rows == {len(reader.roles.held) + len(reader.roles.test)}
    few = vitprobe.ProbeReader("blocks", shots=2, draws=2)
    probes(named, readers=[few])
    assert len(few.roles.fit) <= 2 * 2 * 3
