"""CKA of each block with the first checkpoint's: known values, names, blanks, what is refused."""

import copy
import math

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

import vitprobe
from vitprobe.errors import InputError, VitprobeWarning

BATCH, DEPTH = 10, 4


def small_vit(classes=5, dim=24, depth=DEPTH, heads=3, size=16, patch=4, seed=0):
    torch.manual_seed(seed)
    model = VisionTransformer(
        img_size=size,
        patch_size=patch,
        embed_dim=dim,
        depth=depth,
        num_heads=heads,
        num_classes=classes,
    ).eval()
    for block in model.blocks:
        nn.init.normal_(block.attn.qkv.weight, std=0.3)
        nn.init.normal_(block.mlp.fc2.weight, std=0.3)
    return model


def perturbed(model, block):
    """The model, tuned in one block only."""
    tuned = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(block)
    with torch.no_grad():
        weight = tuned.blocks[block].mlp.fc2.weight
        weight += torch.randn(weight.shape, generator=generator)
    return tuned


class Convolutions(nn.Module):
    """No attention, no blocks of the usual kind."""

    def __init__(self, classes=5, width=6):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, width, 3), nn.Conv2d(width, 4, 3, 2)
        self.head = nn.Linear(4, classes)

    def forward(self, x):
        return self.head(self.two(self.one(x).relu()).mean((2, 3)))


@pytest.fixture(scope="module")
def pictures():
    coarse = torch.randn(40, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    return nn.functional.interpolate(coarse, size=16, mode="bilinear")


@pytest.fixture(scope="module")
def before():
    return small_vit()


@pytest.fixture(scope="module")
def result(before, pictures):
    """Three checkpoints, of which the others were tuned in blocks 2 and 0."""
    models = {"before": before, "late": perturbed(before, 2), "early": perturbed(before, 0)}
    return vitprobe.finetuning(models, pictures, batch_size=BATCH)


def test_names_and_dimensions(result):
    blocks = [f"blocks.{i}" for i in range(DEPTH)]
    assert result["cka"].dims == result["cka_se"].dims == ("checkpoint", "layer")
    assert result["checkpoint"].values.tolist() == ["before", "late", "early"]
    assert result["layer"].values.tolist() == [*blocks, "output"]
    assert result["block"].values.tolist() == [*blocks, ""]
    assert result["distance"].dims == ("checkpoint", "attention_layer")
    assert result["attention_layer"].values.tolist() == [f"{block}.attn" for block in blocks]
    assert (result["blank"] == "").all() and (result["attention_blank"] == "").all()
    assert result["rows"].values.tolist() == [4] * DEPTH
    assert len(set(result["weights_sha256"].values)) == 3
    assert result.attrs["model_3"] == "early" and result.attrs["se_df"] == 3


def test_what_was_not_tuned_is_the_same(result):
    cka, errors = result["cka"], result["cka_se"]
    np.testing.assert_allclose(cka.sel(checkpoint="before"), 1, rtol=0, atol=1e-12)
    assert (errors.sel(checkpoint="before") == 0).all()
    late = cka.sel(checkpoint="late").values
    np.testing.assert_allclose(late[:2], 1, rtol=0, atol=1e-12)
    assert (late[2:] < 0.99).all() and (errors.sel(checkpoint="late")[2:] > 1e-4).all()
    assert (cka.sel(checkpoint="early").values < 0.99).all()


def test_identical_weights(before, pictures):
    models = [before, copy.deepcopy(before)]
    result = vitprobe.finetuning(models, pictures, batch_size=BATCH)
    assert result["checkpoint"].values.tolist() == [
        "VisionTransformer (1)",
        "VisionTransformer (2)",
    ]
    np.testing.assert_allclose(result["cka"], 1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result["cka_se"], 0, atol=1e-7)
    once = vitprobe.finetuning([before, before], pictures, batch_size=BATCH)
    assert once.sizes["checkpoint"] == 1 and (abs(once["cka"] - 1) < 1e-12).all()


def test_it_is_the_diagonal_of_cka(before, pictures, result):
    late = perturbed(before, 2)
    whole = vitprobe.cka(before, late, pictures, layers="blocks", batch_size=BATCH)
    found = result.sel(checkpoint="late")
    for name in ("cka", "cka_se"):
        values = np.diag(whole[name])
        known = slice(2, None) if name == "cka_se" else slice(None)  # rounding where it is 0
        np.testing.assert_allclose(found[name][known], values[known], rtol=1e-12)


def test_distance_is_that_of_attention(before, pictures, result):
    whole = vitprobe.attention(before, pictures, batch_size=BATCH)
    found = result.sel(checkpoint="before")
    np.testing.assert_allclose(found["distance"], whole["distance"].mean("head"), rtol=1e-12)


def test_its_error_is_that_of_each_images_mean_over_heads(before, pictures):
    few = pictures[:8]
    models = [before, perturbed(before, 1)]
    found = vitprobe.finetuning(models, few, batch_size=4).isel(checkpoint=0)
    same = (image.expand(4, -1, -1, -1) for image in few)  # 4 are the fewest
    each = [vitprobe.attention(before, images)["distance"].mean("head") for images in same]
    error = np.std(each, axis=0, ddof=1) / math.sqrt(len(few))
    np.testing.assert_allclose(found["distance_se"], error, rtol=1e-4)


def test_a_new_classifier_does_not_matter(before, pictures):
    other = copy.deepcopy(before)
    other.head = nn.Linear(24, 3)
    result = vitprobe.finetuning([before, other], pictures, batch_size=BATCH)
    np.testing.assert_allclose(result["cka"][1, :-1], 1, rtol=0, atol=1e-12)
    assert 0 < result["cka"][1, -1] < 1


def test_a_classifier_that_counts_as_a_block_may_differ(pictures):
    models = {"a": Convolutions(), "b": Convolutions(classes=3)}
    with pytest.warns(VitprobeWarning) as said:
        result = vitprobe.finetuning(models, pictures, batch_size=BATCH)
    words = " ".join(str(each.message) for each in said)
    assert "attention distance is left out: a has no attention" in words
    assert "a: the model lists no blocks" in words
    assert "distance" not in result and "attention distance is left out" in result.attrs["notes"]
    with pytest.raises(InputError, match=r"the weight one.weight differs, Convolutions \(1\) one"):
        vitprobe.finetuning([Convolutions(), Convolutions(width=8)], pictures)


def test_layers_are_matched_by_name(before, pictures):
    models = [before, perturbed(before, 1)]
    result = vitprobe.finetuning(models, pictures, layers="*.mlp.fc2", batch_size=BATCH)
    assert result["layer"].values.tolist() == [f"blocks.{i}.mlp.fc2" for i in range(DEPTH)]
    assert result["cka"].values[1, 0] == pytest.approx(1) and result["cka"].values[1, 1] < 0.99
    with pytest.raises(InputError, match="no layer matches 'blocks.9'"):
        vitprobe.finetuning(models, pictures, layers="blocks.9")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"depth": 3}, r"4 blocks \(blocks.0 to blocks.3\) and .* 3 blocks"),
        ({"dim": 48}, r"the weight blocks.0.norm1.weight differs, .* one of 24, .* one of 48"),
    ],
)
def test_another_architecture_is_refused(before, pictures, other, words):
    with pytest.raises(InputError, match=words) as error:
        vitprobe.finetuning([before, small_vit(**other)], pictures)
    assert "checkpoints of one architecture" in str(error.value) and "\n" not in str(error.value)


def test_weights_that_one_lacks_are_named(before, pictures):
    other = copy.deepcopy(before)
    other.blocks[1].mlp.fc1.bias = None
    with pytest.raises(InputError, match=r"blocks.1.mlp.fc1.bias differs, .* has none"):
        vitprobe.finetuning([other, before], pictures)


def test_other_grids_leave_distance_out(pictures):
    class Anywhere(nn.Module):
        """The same blocks over 16 or 64 patches."""

        def __init__(self, patch):
            super().__init__()
            torch.manual_seed(0)
            self.patch_embed = nn.Conv2d(3, 24, patch, patch)
            self.blocks = small_vit().blocks
            self.head = nn.Linear(24, 5)

        def forward(self, x):
            x = self.patch_embed(x).flatten(2).transpose(1, 2)
            for block in self.blocks:
                x = block(x)
            return self.head(x.mean(1))

    with pytest.warns(VitprobeWarning, match="coarse and fine have other grids of patches"):
        models = {"coarse": Anywhere(4), "fine": Anywhere(2)}
        result = vitprobe.finetuning(models, pictures, batch_size=BATCH)
    assert "distance" not in result and result["cka"].notnull().all()


def test_blanks_have_reasons(before, pictures):
    constant, broken = copy.deepcopy(before), copy.deepcopy(before)
    with torch.no_grad():
        constant.blocks[3].register_forward_hook(lambda m, a, out: torch.ones_like(out))
        broken.blocks[2].mlp.fc2.bias.fill_(math.nan)
    models = {"before": before, "constant": constant, "broken": broken}
    result = vitprobe.finetuning(models, pictures, batch_size=BATCH)
    blank = result["blank"]
    at = {"layer": "blocks.3"}
    assert str(blank.sel(at).sel(checkpoint="constant").values) == "constant activations"
    assert str(blank.sel(checkpoint="broken", layer="blocks.2").values).startswith("non-finite")
    assert (np.isnan(result["cka"]) == (blank != "")).all()
    assert not np.isnan(result["cka"].sel(checkpoint="broken", layer="blocks.1"))
    assert "non-finite" in str(result["attention_blank"].sel(checkpoint="broken").values[3])
    # a blank of the first checkpoint is one of all, and says whose it is
    result = vitprobe.finetuning(models | {"before": constant, "constant": before}, pictures)
    reasons = set(result["blank"].sel(at).values[:2].tolist())
    assert reasons == {"constant activations", "before: constant activations"}


def test_one_batch_has_no_error_bars(before, pictures):
    with pytest.warns(VitprobeWarning, match="one batch only"):
        result = vitprobe.finetuning([before, small_vit(seed=1)], pictures, batch_size=40)
    assert result["cka_se"].isnull().all() and result["cka"].notnull().all()


@pytest.mark.parametrize("models", ["vit", [], ["vit"], {"a": "vit"}])
def test_fewer_than_two_models(models):
    with pytest.raises(InputError, match="two checkpoints or more|given as a list"):
        vitprobe.finetuning(models, examples=16)


def test_one_forward_of_each_model_a_batch(before, pictures):
    after = perturbed(before, 1)
    sizes = []
    handles = [
        model.register_forward_pre_hook(lambda m, args: sizes.append(len(args[0])))
        for model in (before, after)
    ]
    vitprobe.finetuning([before, after], pictures, batch_size=BATCH)
    for handle in handles:
        handle.remove()
    assert sizes[-8:] == [BATCH] * 8 and max(sizes[:-8]) <= 4


def test_shares_and_two_passes(before, pictures, result, tmp_path):
    models = [{"before": before, "late": perturbed(before, 2), "early": perturbed(before, 0)}]
    paths = [tmp_path / f"{i}.partial" for i in (1, 2)]
    for i, path in enumerate(paths, 1):
        reader, options = vitprobe.FinetuningReader(), {"partial": path, "shard": f"{i}/2"}
        vitprobe.run([reader], models, pictures, batch_size=BATCH, **options)
    (merged,) = vitprobe.merge(paths)
    for name in ("cka", "cka_se", "distance", "distance_se"):
        np.testing.assert_allclose(merged[name], result[name], rtol=1e-10, atol=1e-7)
    assert merged.attrs["run"] == result.attrs["run"]


def test_the_tolerance_is_of_what_is_in_the_result(before, pictures):
    reader = vitprobe.FinetuningReader()
    models = [{"before": before, "late": perturbed(before, 2), "early": perturbed(before, 0)}]
    ((result,),) = vitprobe.run([reader], models, pictures, batch_size=BATCH)
    largest = max(np.nanmax(result[name][1:]) for name in ("cka_se",))
    largest = max(largest, np.nanmax(result["distance_se"]))
    assert reader.largest_error(reader.metrics) == pytest.approx(largest)
