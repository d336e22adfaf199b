"""CKA and other measures by one reader: of a run that is divided or stopped as of one that is
not."""

import numpy as np
import pytest
import torch
from measures_work import MEASURES, measured

import vitprobe
from vitprobe.errors import Stopped
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.partial import read_partial
from vitprobe.passes.share import Share


@pytest.fixture(scope="module")
def whole():
    threads = torch.get_num_threads()
    yield measured()
    torch.set_num_threads(threads)


def same(found, wanted, bits=False):
    assert len(found) == len(wanted) == 3
    for ours, theirs in zip(found, wanted, strict=True):
        assert list(ours) == list(theirs)
        for name in theirs.variables:
            a, b = ours[name], theirs[name]
            if bits or a.dtype.kind not in "f":
                assert a.identical(b), name
            elif name.endswith("_se"):
                np.testing.assert_allclose(a**2, b**2, rtol=1e-9, atol=1e-14, err_msg=name)
            else:
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12, err_msg=name)
        assert ours.attrs["notes"] == theirs.attrs["notes"]
        assert ours.attrs["run"] == theirs.attrs["run"]


def test_all_have_values(whole):
    for spec in MEASURES.split(","):
        assert whole[0][spec.replace(":", "_")].notnull().any(), spec


def test_merged_of_shares(whole, tmp_path):
    paths = [tmp_path / f"{k}.partial" for k in range(3)]
    for k, path in enumerate(paths):
        assert measured(keeper=Keeper(path, Share(k, 3))) == []
    same(vitprobe.merge([paths[2], paths[0], paths[1]]), whole)


def test_gone_on_with(whole, tmp_path, stop_after):
    path = tmp_path / "x.partial"

    def end():
        raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Stopped)):
        measured(keeper=Keeper(path, every=1e-9), told=stop_after(3, end))
    assert 0 < len(read_partial(path).done) < 6
    same(measured(keeper=Keeper(path, resume=True)), whole, bits=True)


def test_without_cka(whole):
    """Measures alone: another analysis, the same numbers; of shares: test_what_layers_know.py."""
    for ours, theirs in zip(measured(MEASURES.removeprefix("cka,")), whole, strict=True):
        assert ours.attrs["analysis"] == "measures" and "cka" not in ours
        for name in ours.data_vars:
            assert ours[name].identical(theirs[name]), name
