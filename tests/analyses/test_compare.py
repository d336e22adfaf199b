"""Models against models: known values, names, blanks, groups, files, what is refused."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

import vitprobe
from vitprobe.analyses.compare_parts import parts_of, smaller
from vitprobe.errors import InputError, VitprobeWarning

BATCH = 12
pytestmark = pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")


def net(seed, width=8, depth=3):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, width, 3, 2), nn.ReLU()]
    for _ in range(depth - 1):
        layers += [nn.Conv2d(width, width, 3), nn.Tanh()]
    return nn.Sequential(*layers).eval()


class Chaos(nn.Module):
    """Features that have nothing to do with the image but are always its own."""

    def __init__(self):
        super().__init__()
        self.last = nn.Identity()

    def forward(self, x):
        seed = x.flatten(1)[:, :7].double().sum(1, keepdim=True)
        return self.last(torch.sin(1e9 * seed * torch.arange(1, 30)).float())


@pytest.fixture(scope="module")
def pictures():
    coarse = torch.randn(96, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    return nn.functional.interpolate(coarse, size=12, mode="bilinear")


@pytest.fixture(scope="module")
def models():
    return {"a": net(0), "b": net(1, width=6), "twin": net(0), "c": net(2, depth=2)}


OPTIONS = {"layers": "all", "batch_size": BATCH, "null": 40}


@pytest.fixture(scope="module")
def result(models, pictures):
    return vitprobe.compare(models, pictures, **OPTIONS)


@pytest.fixture(scope="module")
def pairs(models, pictures):
    return [
        vitprobe.cka({one: models[one]}, {two: models[two]}, pictures, layers="all",
                     batch_size=BATCH)
        for one, two in itertools.combinations(models, 2)
    ]  # fmt: skip


def test_it_is_the_mean_of_best_matches(result, pairs):
    for pair in pairs:
        one, two = pair.attrs["model_a"], pair.attrs["model_b"]
        at = {"model": one, "model2": two}
        there, back = pair["cka"].max("layer_b").mean(), pair["cka"].max("layer_a").mean()
        assert result["matched"].sel(at).item() == pytest.approx(there.item(), rel=1e-9)
        assert result["similarity"].sel(at).item() == pytest.approx(
            (there + back).item() / 2, rel=1e-9
        )
        own = result["site_model"].values == one
        k = result["model2"].values.tolist().index(two)
        np.testing.assert_allclose(result["best"].values[own, k], pair["cka"].max("layer_b"))
        assert (result["match"].values[own, k] == pair["cka"].idxmax("layer_b").values).all()


def test_names_and_itself(result):
    assert result["model"].values.tolist() == result["model2"].values.tolist()
    assert result["model"].values.tolist() == ["a", "b", "twin", "c"]
    assert result["layers_compared"].values.tolist() == [6, 6, 6, 4]
    assert (np.diag(result["similarity"]) == 1).all() and (np.diag(result["distance"]) == 0).all()
    assert (np.diag(result["similarity_se"]) == 0).all() and result.attrs["se_df"] == 7
    np.testing.assert_array_equal(result["similarity"], result["similarity"].T)
    twins = result["similarity"].sel(model="a", model2="twin").item()
    assert twins == pytest.approx(1, abs=1e-12)
    assert (result["blank"] == "").all() and (result["site_blank"] == "").all()
    assert set(result["linkage"].values[0, :2]) == {0, 2}
    assert result.attrs["null_replicates"] == 40


def test_errors_from_files_are_an_upper_bound(result, pairs):
    found = vitprobe.compare_results(pairs)
    assert found["model"].values.tolist() == ["a", "b", "twin", "c"]
    np.testing.assert_allclose(found["similarity"], result["similarity"], rtol=1e-9)
    np.testing.assert_allclose(found["position"], result["position"], atol=1e-7)
    off = ~np.eye(4, dtype=bool)
    off[0, 2] = off[2, 0] = False
    assert (found["similarity_se"].values[off] > 0.8 * result["similarity_se"].values[off]).all()
    assert "at most" in found.attrs["se_method"] and "calibrated" not in found
    again = vitprobe.compare_results([result])
    np.testing.assert_array_equal(again["similarity"], result["similarity"])


def test_chance(pictures):
    models = {"a": net(0), "b": net(1), "chaos": Chaos()}
    found = vitprobe.compare(models, pictures, layers="all", batch_size=BATCH, null=60)
    at = {"model": "a", "model2": "chaos"}
    assert found["p_value"].sel(at) > 0.05 and found["calibrated"].sel(at) < 0.05
    assert found["null_mean"].sel(at) > 0, "the maximum of many is above 0 by chance alone"
    at["model2"] = "b"
    assert found["p_value"].sel(at).item() == pytest.approx(1 / 61)
    tau, seen = found["null_line"].sel(at).item(), found["similarity"].sel(at).item()
    assert found["calibrated"].sel(at).item() == pytest.approx((seen - tau) / (1 - tau))
    without = vitprobe.compare(models, pictures, layers="all", batch_size=BATCH, null=0)
    assert "p_value" not in without and "null_replicates" not in without.attrs
    np.testing.assert_array_equal(without["similarity"], found["similarity"])


def test_groups_give_the_same(models, pictures, result):
    found = vitprobe.compare(models, pictures, **OPTIONS, at_once=2)
    for name, values in result.data_vars.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(found[name], values, rtol=1e-7, atol=1e-7, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert "4 models in 6 passes over the images, up to 2 at once" in found.attrs["notes"]
    assert found["site_layer"].values.tolist() == result["site_layer"].values.tolist()


@pytest.mark.parametrize(("count", "at_once"), [(5, 2), (12, 5), (30, 8), (7, 6), (4, 4), (9, 3)])
def test_every_pair_meets(count, at_once):
    groups = parts_of(count, at_once)
    assert max(map(len, groups)) <= at_once
    met = {pair for group in groups for pair in itertools.combinations(sorted(group), 2)}
    assert len(met) == count * (count - 1) // 2
    fewer = smaller(count, at_once)
    assert fewer is None if at_once == 2 else 2 <= fewer < min(count, at_once)


def test_blanks_have_reasons(models, pictures):
    broken, partly = copy.deepcopy(models["a"]), copy.deepcopy(models["b"])
    with torch.no_grad():
        broken[0].weight.fill_(math.nan)
        partly[4].weight.zero_()
    given = {"a": models["a"], "broken": broken, "partly": partly, "c": models["c"]}
    with pytest.warns(VitprobeWarning, match=r"broken: no layer has a value \(non-finite"):
        found = vitprobe.compare(given, pictures, **OPTIONS)
    assert found["blank"].values[1].startswith("non-finite values (first in batch 0)")
    assert found["layers_compared"].values.tolist() == [6, 0, 4, 4]
    assert found["similarity"].values[1].tolist() == pytest.approx([math.nan] * 4, nan_ok=True)
    assert np.isfinite(found["similarity"].values[np.ix_([0, 2, 3], [0, 2, 3])]).all()
    assert found["order"].values[1] == 3 and found.sizes["merge"] == 2
    reasons = found["site_blank"].values[found["site_model"].values == "partly"]
    assert set(reasons) == {"", "constant activations"}


def test_several_image_sizes_share_the_images():
    small, large = "resnet20@digits", "vit(image_size=48,depth=1,dim=24,heads=3,mlp_dim=32)"
    found = vitprobe.compare([small, large], examples=32, batch_size=8, null=0)
    assert 0 < found["similarity"].values[0, 1] < 1
    assert found.attrs["model_1_image_size"] != found.attrs["model_2_image_size"]


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        ("vit", {}, "models are given as a list"),
        (["vit"], {}, "only one is given: name another"),
        (["vit", "vit"], {}, "only one is given: name another"),
        ([{"x": "vit"}, {"x": "resnet20"}], {}, "two models are called 'x'"),
        (["vit", "resnet20"], {"null": 5}, "at least 19 permutations"),
        (["vit", "resnet20"], {"at_once": 1}, "at_once takes 2 models or more, not 1"),
        (["vit", "resnet20"], {"tokens": "clss"}, "clss"),
        (["vit", "resnet20"], {"layers": "blocks.0"}, "resnet20: no layer matches 'blocks.0'"),
    ],
)
def test_wrong_input(given, options, words):
    with pytest.raises(InputError, match=words) as error:
        vitprobe.compare(given, examples=16, **options)
    assert "\n" not in str(error.value)


def test_wrong_results(pairs, result):
    other = pairs[1].assign_attrs(dataset="cifar10")
    changed = pairs[1].assign_attrs(model_a_weights_sha256="0")
    changed.attrs["dataset"] = pairs[0].attrs["dataset"]
    skips = pairs[0].assign_attrs(analysis="skips")
    for given, words in (
        ([], "no result was given"),
        (pairs[:2], "no result is of b and twin"),
        ([pairs[0], other], "result 1 and result 2 are not comparable: their dataset is"),
        ([pairs[0], changed], "a has other weights in result 1 than in result 2"),
        ([pairs[0], skips], "result 2 is a result of skips, not of CKA"),
        ([pairs[0], "x"], "result 2 is no result, not of CKA"),
    ):
        with pytest.raises(InputError, match=words) as error:
            vitprobe.compare_results(given)
        assert "\n" not in str(error.value)
