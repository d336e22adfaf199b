"""The result of attention that is made up: padding, blanks, refusals, what is said of them."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

import vitprobe
from vitprobe.analyses.attention_reader import AttentionReader
from vitprobe.errors import InputError, VitprobeWarning
from vitprobe.ops.reference_attention import attention_weights, statistics_of
from vitprobe.passes import forward, surveyed
from vitprobe.passes.inputs import prepare
from vitprobe.passes.run import run
from vitprobe.taps import Attention, AttentionSite

pytestmark = pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")


class Patches(nn.Module):
    """(n, 3, 16, 16) -> (n, 8): a patch convolution of 4 px, 4 x 4 patches."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, 4)

    def forward(self, images):
        return self.embed(images).mean((2, 3))


class Tap:
    """In the place of the tap: hands out what each site is given as a function of the images."""

    def __init__(self, monkeypatch):
        self.sites, self.hand_out = [], {}
        monkeypatch.setattr(surveyed, "attention_sites", lambda model, images: self.sites)
        monkeypatch.setattr(forward, "capture_attention", self._capture)

    def add(self, name, heads=2, tokens=16, windows=1, reason="", hand_out=None):
        self.sites.append(AttentionSite(name, heads, tokens, 8, windows, "q, k", reason))
        self.hand_out[name] = hand_out or self.random(heads, tokens, windows)

    @staticmethod
    def random(heads, tokens, windows):
        def attention(images):
            generator = torch.Generator().manual_seed(heads)
            q = torch.randn(len(images) * windows, heads, tokens, 8, generator=generator)
            return Attention(q, q.flip(0), q, 0.5, None, None)

        return attention

    @contextmanager
    def _capture(self, model, sites, take):
        def after(module, inputs, output):
            for site in sites:
                found = self.hand_out[site.name](inputs[0])
                if found is not None:
                    take(site, found)

        handle = model.register_forward_hook(after)
        yield
        handle.remove()


@pytest.fixture
def tap(monkeypatch):
    return Tap(monkeypatch)


@pytest.fixture
def images():
    return torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_values_names_and_coordinates(tap, images):
    tap.add("blocks.0.attn", tokens=17)
    result = vitprobe.attention(Patches(), images, batch_size=4)
    attention = tap.hand_out["blocks.0.attn"](images[:4])
    p = attention_weights(attention.q.double(), attention.k.double(), 0.5, None)
    raw, distance, mass, entropy, _ = statistics_of(p, 4, 4, 1, 4.0, 4.0).mean(1).numpy()
    for name, expected in (
        ("distance_raw", raw),
        ("distance", distance),
        ("patch_mass", mass),
        ("entropy", entropy),
    ):
        assert result[name].dims == ("layer", "head") and result[name].dtype == np.float64
        np.testing.assert_allclose(result[name].values[0], expected, rtol=1e-5)
        assert np.isfinite(result[f"{name}_se"].values).all()
    layer = result.sel(layer="blocks.0.attn")
    facts = {name: layer[name].item() for name in ("rows", "columns", "prefix", "patch_height")}
    assert facts == {"rows": 4, "columns": 4, "prefix": 1, "patch_height": 4.0}
    assert layer["entropy_uniform"].item() == pytest.approx(np.log(17))
    assert layer["distance_uniform"].item() == pytest.approx(16.06412 / 2, abs=1e-5)
    assert result["distance"].attrs["units"] == "px"
    expected = {"analysis": "attention", "examples": 8, "batches": 2, "model": "Patches"}
    expected |= {"model_image_size": "16, 16", "dtype": "fp32", "seed": 0, "order": "as given"}
    assert {name: result.attrs[name] for name in expected} == expected
    for part in ("data", "survey", "forward", "statistics"):
        assert result.attrs[f"seconds_{part}"] >= 0


def test_layers_of_fewer_heads_are_filled_up(tap, images):
    for i, heads in enumerate((1, 3, 2)):
        tap.add(f"layers.{i}", heads=heads)
    with pytest.warns(VitprobeWarning, match="layers have 1 to 3 heads"):
        result = vitprobe.attention(Patches(), images)
    finite = result["distance"].notnull().values
    assert finite.tolist() == [[True, False, False], [True, True, True], [True, True, False]]
    assert result["blank"].values.tolist() == ["", "", ""]
    assert "layers have 1 to 3 heads" in result.attrs["notes"]
    alone = vitprobe.attention(Patches(), images)
    assert alone["heads"].values.tolist() == [1, 3, 2]


def test_refused_layers_are_listed_with_their_reasons(tap, images):
    tap.add("blocks.0.attn")
    tap.add("blocks.1.attn", reason="talking heads")
    result = vitprobe.attention(Patches(), images)
    assert result["layer"].values.tolist() == ["blocks.0.attn"]
    assert result["left_out_reason"].sel(left_out="blocks.1.attn").item() == "talking heads"


def test_a_layer_whose_grid_is_unknown_is_blank(tap, images):
    tap.add("first", tokens=29)
    tap.add("second")
    result = vitprobe.attention(Patches(), images)
    assert "the 29 tokens of first" in result["blank"].sel(layer="first").item()
    assert result["distance"].sel(layer="first").isnull().all()
    assert result["distance_uniform"].sel(layer="first").isnull()
    assert result["distance"].sel(layer="second").notnull().all()


def test_nothing_to_compute_is_one_line(tap, images):
    with pytest.raises(InputError, match="Patches has no attention"):
        vitprobe.attention(Patches(), images)
    for i in range(3):
        tap.add(f"blocks.{i}", reason="channels attend, not tokens")
    tap.add("head", reason="talking heads")
    message = r"Patches can be read: blocks.0 and 2 more: channels attend.*; head: talking heads"
    with pytest.raises(InputError, match=message):
        vitprobe.attention(Patches(), images)
    tap.sites.clear()
    tap.add("blocks.0", tokens=29)
    with pytest.raises(InputError, match="Patches: the 29 tokens of blocks.0 .*grid.*prefix"):
        vitprobe.attention(Patches(), images)


def test_non_finite_values_blank_their_heads(tap, images):
    def broken(batch):
        found = Tap.random(3, 16, 1)(batch)
        found.q[0, 1, 2, 3] = torch.nan
        return found

    tap.add("blocks.0", heads=3, hand_out=broken)
    tap.add("blocks.1", heads=3)
    result = vitprobe.attention(Patches(), images)
    assert result["blank"].values.tolist() == [
        "heads 1: non-finite values (first in batch 0)",
        "",
    ]
    assert result["distance"].isnull().values.tolist() == [[False, True, False], [False] * 3]


def test_a_layer_that_does_not_fire_in_every_batch_is_blank(tap, images):
    calls = []

    def first_only(batch):
        calls.append(len(batch))
        return Tap.random(2, 16, 1)(batch) if len(calls) == 1 else None

    tap.add("blocks.0", hand_out=first_only)
    tap.add("blocks.1")
    result = vitprobe.attention(Patches(), images, batch_size=4)
    assert result["blank"].values.tolist() == ["did not fire in batch 1", ""]
    assert result["entropy"].isnull().values.tolist() == [[True, True], [False, False]]


def test_queries_that_no_patch_gets_attention_from_are_counted(tap, images):
    def to_the_class_token(batch):
        found = Tap.random(2, 17, 1)(batch)
        bias = torch.zeros(len(batch), 2, 17, 17)
        bias[0, 1, 1:5, 1:] = -torch.inf  # four queries of one image and head
        return Attention(found.q, found.k, found.v, found.scale, bias, None)

    tap.add("blocks.0", tokens=17, hand_out=to_the_class_token)
    with pytest.warns(VitprobeWarning, match="4 queries without attention to a patch"):
        result = vitprobe.attention(Patches(), images)
    assert result["queries_left_out"].values.tolist() == [[0, 4]]
    assert result["distance"].notnull().all()


def test_weights_where_there_are_no_q_and_k(tap, images):
    def weights(batch):
        found = Tap.random(2, 16, 1)(batch)
        p = attention_weights(found.q, found.k, found.scale, None)
        return Attention(None, None, None, found.scale, None, p)

    tap.add("given", hand_out=weights)
    tap.add("computed")
    result = vitprobe.attention(Patches(), images)
    for name in ("distance", "distance_raw", "patch_mass", "entropy"):
        given, computed = result[name].values
        np.testing.assert_allclose(given, computed, rtol=1e-5)


def test_several_models_see_the_same_images(tap, images):
    tap.add("blocks.0")
    models = [Patches(), Patches(), nn.Sequential(Patches())]
    results = run(prepare([*models, models[0]], images), [AttentionReader()])[0]
    labels = [result.attrs["model"] for result in results]
    assert labels == ["Patches (1)", "Patches (2)", "Sequential"]


def test_wrong_precision(tap, images):
    with pytest.raises(InputError, match="fp32 or bf16"):
        vitprobe.attention(Patches(), images, precision="fp8")
