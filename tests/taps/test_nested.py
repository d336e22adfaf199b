"""Padded examples: torch's fast path of encoders nests tensors, which then have no shape."""

import numpy as np
import pytest
import torch
from torch import nn

import vitprobe
from vitprobe.errors import InputError
from vitprobe.taps import as_found, attention_sites, capture, survey

pytestmark = pytest.mark.filterwarnings(
    "ignore::vitprobe.errors.VitprobeWarning", "ignore:The PyTorch API of nested tensors"
)

TOKENS, WIDTH = 9, 12
IMAGES = torch.randn(24, 3, 12, 12, generator=torch.Generator().manual_seed(0))
LENGTHS = 3 + torch.arange(24) % 7
PADDED = torch.arange(TOKENS) >= LENGTHS[:, None]


class Encoder(nn.Module):
    """Patches through nn.TransformerEncoder as it comes: nested tensors are on."""

    def __init__(self, nhead=2, **options):
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Conv2d(3, WIDTH, 4, 4)
        layer = nn.TransformerEncoderLayer(WIDTH, nhead, 16, batch_first=True, **options)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=True)

    def forward(self, pixel_values, padded=None):
        tokens = self.embed(pixel_values).flatten(2).transpose(1, 2)
        return self.encoder(tokens, src_key_padding_mask=padded)


def nests(model, *inputs):
    """Whether torch, left alone, nests tensors in this forward."""
    with torch.no_grad(), torch.profiler.profile() as profile:
        model.eval()(*inputs)
    return "aten::_nested_tensor_from_mask" in {event.name for event in profile.events()}


@pytest.mark.parametrize("masked", [True, False])
def test_activations_are_those_of_the_fast_path(masked):
    model = Encoder().eval()
    inputs = (IMAGES, PADDED) if masked else (IMAGES,)
    assert nests(model, *inputs) == masked
    with torch.no_grad():
        fast = model(*inputs)
    given = {"pixel_values": IMAGES, "padded": PADDED} if masked else IMAGES
    table = survey(model, given)
    assert {site.name: site.reason for site in table if site.module.count(".") < 3}[
        "output"
    ] is None
    for name in ("encoder.layers.0", "encoder.layers.1", "encoder", "output"):
        assert table[name].shape == (TOKENS, WIDTH), name
    seen = {}
    with capture(model, [table["encoder.layers.1"]], lambda site, x, twin: seen.update(x=x)):
        model(*inputs)
    kept = ~PADDED if masked else torch.ones_like(PADDED)
    torch.testing.assert_close(seen["x"][kept], fast[kept], rtol=1e-5, atol=1e-5)
    assert torch.backends.mha.get_fastpath_enabled()


def test_padded_attention_is_read():
    sites = attention_sites(Encoder(), {"pixel_values": IMAGES, "padded": PADDED})
    assert [(site.name, site.tokens, site.reason) for site in sites] == [
        (f"encoder.layers.{i}.self_attn", TOKENS, "") for i in range(2)
    ]


def test_cka_of_padded_examples():
    class Items(torch.utils.data.Dataset):
        def __len__(self):
            return len(IMAGES)

        def __getitem__(self, i):
            return {"pixel_values": IMAGES[i], "padded": PADDED[i]}

    loader = torch.utils.data.DataLoader(Items(), batch_size=8)
    result = vitprobe.cka(Encoder(), data=loader)
    assert "encoder.layers.1.norm2" in result["layer_a"].values
    assert np.isfinite(result["cka"]).all()


@pytest.mark.parametrize("enabled", [True, False])
def test_the_switch_is_left_as_found(enabled):
    torch.backends.mha.set_fastpath_enabled(enabled)
    try:
        with pytest.raises(ZeroDivisionError), as_found(Encoder()):
            assert not torch.backends.mha.get_fastpath_enabled()
            raise ZeroDivisionError
        assert torch.backends.mha.get_fastpath_enabled() == enabled
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_a_site_that_is_nested_is_named(layout):
    class Nests(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.fc, self.nest, self.tail = nn.Linear(432, 8), Nest(), nn.Identity()

        def forward(self, x):
            x = self.fc(x.flatten(1))
            self.nest(x)
            return self.tail(x), self.nest(x)

    class Nest(nn.Module):
        on = True

        def forward(self, x):
            rows = [row[: 2 + i % 3] for i, row in enumerate(x)]
            return torch.nested.nested_tensor(rows, layout=layout) if self.on else x

    model = Nests()
    table = survey(model, IMAGES)
    reason = "its output is a nested tensor: one size for each example"
    left_out = {site.name: site.reason for site in table if site.reason}
    assert left_out == {"nest": reason, "nest#2": reason, "output[1]": reason}
    assert vitprobe.cka(model, data=IMAGES, batch_size=8)["layer_a"].values.tolist() == ["fc"]
    assert [site.reason for site in attention_sites(model, IMAGES)] == []
    model.nest.on = False
    sites = [survey(model, IMAGES)["nest"]]
    model.nest.on = True
    expected = pytest.raises(InputError, match="'nest' gave a nested tensor")
    with capture(model, sites, lambda *_: None), expected:
        model(IMAGES)


def test_a_model_that_needs_the_fast_path_for_tensors_of_its_own_fails_in_one_line():
    class Ragged(Encoder):
        def forward(self, x):
            tokens = self.embed(x).flatten(2).transpose(1, 2)
            rows = [row[: 3 + i % 4] for i, row in enumerate(tokens)]
            return self.encoder(torch.nested.nested_tensor(rows)).to_padded_tensor(0.0)

    with pytest.raises(InputError, match="Ragged fails on images of 3x12x12") as error:
        vitprobe.cka(Ragged(), data=IMAGES, batch_size=8)
    assert "\n" not in str(error.value)
