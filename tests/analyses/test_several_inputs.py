"""Analyses of models that take more than one tensor, from DataLoaders of every dress."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import vitprobe
from vitprobe.errors import InputError
from vitprobe.taps import attention_sites, capture, survey

pytestmark = pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")


class Body(nn.Module):
    """Attention over the patches of two images laid side by side, without those that are masked."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Conv2d(6, 16, 4, 4)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Linear(16, 5)

    def read(self, a, b, mask):
        tokens = self.embed(torch.cat([a, b], 1)).flatten(2).transpose(1, 2)
        assert mask.dtype == torch.bool and a.dtype == b.dtype == self.head.weight.dtype
        out = self.attention(tokens, tokens, tokens, key_padding_mask=mask, need_weights=False)[0]
        return self.head(out.mean(1))


class ByPlace(Body):
    def forward(self, a, b, mask):
        return self.read(a, b, mask)


class InAList(Body):
    def forward(self, xs):
        return self.read(*xs)


class ByName(Body):
    def forward(self, *, left, right, mask, scale=1.0):
        return self.read(left, right, mask)


class AsAMapping(Body):
    def forward(self, batch):
        return self.read(batch["left"], batch["right"], batch["mask"])


class Stacked(Body):
    """The same network for one tensor: two images and the mask in one."""

    def forward(self, x):
        return self.read(x[:, :3], x[:, 3:6], x[:, 6].flatten(1)[:, :16] > 0.5)


@pytest.fixture(scope="module")
def parts():
    draw = torch.Generator().manual_seed(1)
    coarse = torch.randn(2, 40, 3, 4, 4, generator=draw)
    a, b = (nn.functional.interpolate(x, size=16, mode="bilinear") for x in coarse)
    mask = torch.rand(40, 16, generator=draw) < 0.3
    mask[:, 0] = False
    return a, b, mask, torch.arange(40) % 4


@pytest.fixture(scope="module")
def stacked(parts):
    a, b, mask, _ = parts
    plane = torch.zeros(40, 1, 256)
    plane[:, 0, :16] = mask.float()
    return torch.cat([a, b, plane.reshape(40, 1, 16, 16)], 1)


def mapping(items):
    columns = [torch.stack(column) for column in zip(*items, strict=True)]
    return dict(zip(("left", "right", "mask", "label"), columns, strict=True))


def nested(items):
    *inputs, labels = [torch.stack(column) for column in zip(*items, strict=True)]
    return [inputs, labels]


CASES = {
    "a tuple": (ByPlace, None),
    "a list in a tuple": (InAList, nested),
    "a list in a tuple, taken apart": (ByPlace, nested),
    "a list as it is": (InAList, None),
    "a mapping by name": (ByName, mapping),
    "a mapping as it is": (AsAMapping, mapping),
}


@pytest.mark.parametrize("name", CASES)
def test_cka_is_that_of_the_network_with_one_input(name, parts, stacked):
    kind, collate = CASES[name]
    if name == "a list as it is":
        parts = parts[:3]  # which is tried and found: its second image could be soft labels
    loader = DataLoader(TensorDataset(*parts), batch_size=10, collate_fn=collate)
    result = vitprobe.cka(kind(), data=loader)
    plain = vitprobe.cka(Stacked(), data=stacked, batch_size=10)
    assert result["layer_a"].values.tolist() == ["embed", "attention", "head"]
    assert np.array_equal(result["cka"].values, plain["cka"].values)
    assert np.array_equal(result["cka_se"].values, plain["cka_se"].values)
    assert result.attrs["examples"] == 40


def test_in_the_type_of_the_model_and_the_first_examples_only(parts, stacked):
    loader = DataLoader(TensorDataset(*parts), batch_size=16)
    result = vitprobe.cka(ByPlace().double(), data=loader, examples=24)
    plain = vitprobe.cka(Stacked().double(), data=stacked[:24], batch_size=16)
    assert np.abs(result["cka"].values - plain["cka"].values).max() < 1e-12
    assert (result.attrs["examples"], result.attrs["batches"]) == (24, 2)


class Eyes(nn.Module):
    """Takes the left image alone."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)

    def forward(self, left):
        return self.head(self.conv(left).relu().mean((2, 3)))


def test_two_models_take_different_parts_of_one_batch(parts):
    loader = DataLoader(TensorDataset(*parts), batch_size=10, collate_fn=mapping)
    both = vitprobe.cka(ByName(), Eyes(), loader)
    assert both["layer_b"].values.tolist() == ["conv", "head"]
    alone = vitprobe.cka(Eyes(), data=parts[0], batch_size=10)
    assert np.array_equal(both["cka_bb"].values, alone["cka"].values)


def test_attention_and_its_subsets(parts, stacked):
    loader = DataLoader(TensorDataset(*parts), batch_size=10)
    result = vitprobe.attention(ByPlace(), loader)
    plain = vitprobe.attention(Stacked(), stacked, batch_size=10)
    for name in ("distance", "entropy", "patch_mass", "distance_se"):
        assert np.array_equal(result[name].values, plain[name].values), name
    subsets = vitprobe.head_subsets(ByPlace(), ByPlace(), loader, layers=["embed", "head"])
    plain = vitprobe.head_subsets(
        Stacked(), Stacked(), stacked, layers=["embed", "head"], batch_size=10
    )
    assert np.array_equal(subsets["cka"].values, plain["cka"].values)


def test_survey_and_capture_of_a_tuple_and_of_a_mapping(parts):
    a, b, mask, labels = parts
    model = ByPlace()
    by_hand = survey(model, (a, b, mask, labels))
    assert [site.name for site in by_hand if not site.reason] == [
        *("embed", "attention", "head", "output")
    ]
    items = {"left": a, "right": b, "mask": mask, "label": labels}
    assert [site.shape for site in survey(ByName(), items)] == [site.shape for site in by_hand]
    seen = {}
    with capture(model, [by_hand["head"]], lambda site, x, twin: seen.update({site.name: x})):
        output = model(a[:7], b[:7], mask[:7])
    assert torch.equal(seen["head"], output)
    [site] = attention_sites(model, (a[:1], b[:1], mask[:1]))
    assert (site.name, site.reason, site.tokens) == ("attention", "", 16)


def test_examples_may_differ_in_one_input_only(parts):
    a, b, mask, _ = parts
    same = a[:1].expand(6, -1, -1, -1)
    assert len(survey(ByPlace(), (same, b[:6], mask[:6]))) == 5
    with pytest.raises(InputError, match="1 distinct images among 6"):
        survey(ByPlace(), (same, same, mask[:1].expand(6, -1)))


def test_hugging_face_with_a_mask_of_patches(parts):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        **{"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
        **{"intermediate_size": 32, "image_size": 16, "patch_size": 4, "encoder_stride": 4},
        initializer_range=0.3,
    )
    torch.manual_seed(0)
    model = transformers.ViTForMaskedImageModeling(config).eval()

    def collate(items):
        batch = mapping(items)
        names = {"pixel_values": "left", "bool_masked_pos": "mask", "labels": "label"}
        return transformers.BatchFeature({new: batch[old] for new, old in names.items()})

    loader = DataLoader(TensorDataset(*parts), batch_size=10, collate_fn=collate)
    result = vitprobe.cka(model, data=loader, layers="vit.layers.?")
    unmasked = vitprobe.cka(model, data=parts[0], layers="vit.layers.?", batch_size=10)
    assert result["layer_a"].values.tolist() == ["vit.layers.0", "vit.layers.1"]
    assert np.isfinite(result["cka"]).all()
    assert np.abs(result["cka"].values - unmasked["cka"].values).max() > 1e-3  # the mask counts
    heads = vitprobe.attention(model, loader)
    assert heads.sizes["layer"] == 2 and np.isfinite(heads["distance"]).all()


@pytest.mark.parametrize(
    ("model", "collate", "words"),
    [
        (Body.read.__get__(Body()), None, "not method"),
        (Eyes(), mapping, "fails on images of 2x16x16"),
        (ByPlace(), mapping, r"needs a, b, mask, .*left: \(10, 2, 16, 16\)"),
        (ByName(), mapping, r"ByName fails on the inputs \(left=\(10, 2, 16, 16\), .*RuntimeError"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(parts, model, collate, words):
    a, b, mask, labels = parts
    loader = DataLoader(TensorDataset(a[:, :2], b, mask, labels), 10, collate_fn=collate)
    with pytest.raises(InputError, match=words) as error:
        vitprobe.cka(model, data=loader)
    assert "\n" not in str(error.value)


def test_integer_images(parts):
    whole = (parts[0] * 50 + 128).clamp(0, 255).byte()
    with pytest.raises(InputError, match=r"torch.uint8.*x.float\(\) / 255"):
        attention_sites(Body(), whole)
    loader = DataLoader(TensorDataset(whole, parts[1], parts[2]), batch_size=10)
    with pytest.raises(InputError, match=r"torch.uint8.*x.float\(\) / 255"):
        vitprobe.cka(ByPlace(), data=loader)
