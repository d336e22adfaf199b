"""A layer that does not fire in one batch is blank, with that reason, and touches no other."""

import numpy as np
import pytest
import torch
from torch import nn

import vitprobe
from vitprobe.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")

BATCH = 12  # of 48 images: batches 0 to 3


class Moody(nn.Module):
    """Some of its modules are passed by in the batch that begins with a certain image."""

    def __init__(self, first, passed_by):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.passed_by = first, passed_by
        self.flat, self.extra, self.twin = nn.Flatten(), nn.Linear(768, 8), nn.Identity()
        self.head = nn.Linear(768, 5)

    def forward(self, x):
        # the survey shows four images, other than a batch
        moody = len(x) == BATCH and torch.equal(x[0], self.first)
        flat = self.flat(x)
        y = flat[:, :8] if moody and "extra" in self.passed_by else self.extra(flat)
        if not (moody and "twin" in self.passed_by):
            self.twin(y)
        return self.head(flat)


@pytest.mark.parametrize("batch", [0, 2, 3])
@pytest.mark.parametrize("passed_by", [["extra"], ["twin"], ["extra", "twin"]], ids=" ".join)
def test_the_row_is_blank_and_the_others_are_as_without_it(images, batch, passed_by):
    model = Moody(images[BATCH * batch], passed_by)
    result = vitprobe.cka(model, data=images, layers="modules", batch_size=BATCH)
    blanks = dict(zip(result["layer_a"].values, result["blank_a"].values, strict=True))
    reason = f"did not fire in batch {batch}"
    assert {name: why for name, why in blanks.items() if why} == dict.fromkeys(passed_by, reason)
    others = [name for name in blanks if name not in passed_by]
    for name in ("cka", "cka_se", "hsic"):
        assert np.isnan(result[name].sel(layer_a=passed_by)).all(), name
        assert np.isnan(result[name].sel(layer_b=passed_by)).all(), name
    without = vitprobe.cka(model, data=images, layers=others, batch_size=BATCH)
    kept = result.sel(layer_a=others, layer_b=others)
    for name in ("cka", "cka_se", "hsic"):
        assert np.array_equal(kept[name].values, without[name].values), name
        assert np.isfinite(kept[name]).all()


class Heads(nn.Module):
    """Attention over 16 patches, passed by in the batch that begins with a certain image."""

    def __init__(self, first=None):
        super().__init__()
        torch.manual_seed(0)
        self.first = first
        self.embed = nn.Conv2d(3, 16, 4, 4)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.layers = nn.ModuleList([nn.Linear(16, 16), nn.Linear(16, 16)])

    def forward(self, x):
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        moody = self.first is not None and len(x) == BATCH and torch.equal(x[0], self.first)
        tokens = tokens if moody else self.attention(tokens, tokens, tokens)[0]
        y = self.layers[0](tokens)
        return y if moody else self.layers[1](y)


def test_heads_that_do_not_fire_have_no_value(images):
    result = vitprobe.attention(Heads(images[BATCH]), images, batch_size=BATCH)
    assert result["blank"].values.tolist() == ["did not fire in batch 1"]
    assert np.isnan(result["distance"]).all()


def test_subsets_of_heads_that_do_not_fire_are_refused(images):
    with pytest.raises(InputError, match="attention of 'attention' did not fire in batch 1") as one:
        vitprobe.head_subsets(
            Heads(images[BATCH]), Heads(), images, layers="Linear", batch_size=BATCH
        )
    assert "\n" not in str(one.value)


def test_a_layer_that_heads_are_compared_with_is_blank(images):
    options = {"layers": "Linear", "batch_size": BATCH}
    result = vitprobe.head_subsets(Heads(), Heads(images[2 * BATCH]), images, **options)
    assert result["blank_layer"].values.tolist() == ["", "did not fire in batch 2"]
    assert np.isnan(result["cka"].sel(layer="layers.1")).all()
    without = vitprobe.head_subsets(
        Heads(), Heads(images[2 * BATCH]), images, **(options | {"layers": "layers.0"})
    )
    assert np.array_equal(result["cka"].sel(layer=["layers.0"]).values, without["cka"].values)
