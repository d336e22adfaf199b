"""Attention of torch's own modules and of torchvision: nn.MultiheadAttention in every dress."""

import pytest
import torch
import torchvision
from attention_reproduced import captured, inputs_of
from mnist_vit import trained
from torch import nn
from torch.nn import functional

from vitprobe.taps import attention_sites

TOKENS, WIDTH, HEADS = 7, 12, 4  # torch's fused fast paths want an even number of heads


def sequences(width: int = WIDTH, count: int = 2) -> torch.Tensor:
    return torch.randn(count, TOKENS, width, generator=torch.Generator().manual_seed(0))


def outputs_of(model, images, kind, whole=False):
    """What the modules of a class return (its first element, or the whole), in a forward in which
    torch takes the short cuts that it takes when nobody looks inside."""
    seen = {}
    handles = [
        module.register_forward_hook(
            lambda module, args, output, path=path: seen.update(
                {path: output if whole else output[0]}
            )
        )
        for path, module in model.named_modules()
        if isinstance(module, kind)
    ]
    with torch.no_grad():
        model.eval()(images)
    for handle in handles:
        handle.remove()
    return seen


def check_mha(model, images, sites=1):
    """Projected by each nn.MultiheadAttention's own weights, p v is what that module returns."""
    found = captured(model, images)
    expected = outputs_of(model, images, nn.MultiheadAttention)
    assert set(found) == set(expected) and len(found) == sites
    for name, one in found.items():
        mha = model.get_submodule(name)
        with torch.no_grad():
            output = functional.linear(one.output, mha.out_proj.weight, mha.out_proj.bias)
        want = expected[name] if mha.batch_first else expected[name].transpose(0, 1)
        torch.testing.assert_close(output, want, rtol=1e-5, atol=1e-5)
    return found


class Alone(nn.Module):
    """nn.MultiheadAttention called with these arguments."""

    def __init__(self, batch_first=True, value_width=None, **call):
        super().__init__()
        options = {} if value_width is None else {"kdim": WIDTH, "vdim": value_width}
        self.attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=batch_first, **options)
        for bias in (self.attn.in_proj_bias, self.attn.out_proj.bias):
            nn.init.normal_(bias)
        self.call = call
        self.value_width = value_width

    def forward(self, x):
        x = x if self.attn.batch_first else x.transpose(0, 1)
        value = x if self.value_width is None else x[..., : self.value_width]
        return self.attn(x, x, value, **self.call)[0]


MASK = torch.randn(TOKENS, TOKENS, generator=torch.Generator().manual_seed(1))
PADDING = torch.arange(TOKENS).expand(2, TOKENS) >= torch.tensor([[TOKENS], [TOKENS - 2]])
CAUSAL = torch.ones(TOKENS, TOKENS, dtype=torch.bool).triu(1)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(
    "call",
    [
        {"need_weights": False},
        {"need_weights": True},
        {"need_weights": True, "average_attn_weights": False},
        {"need_weights": False, "attn_mask": MASK},
        {"need_weights": True, "attn_mask": MASK},
        {"need_weights": False, "attn_mask": CAUSAL, "is_causal": True},
        {"need_weights": True, "attn_mask": CAUSAL},
    ],
    ids=str,
)
def test_multihead_attention(batch_first, call):
    torch.manual_seed(0)
    model = Alone(batch_first, **call)
    found = check_mha(model, sequences())
    assert set(found) == {"attn"} and found["attn"].site.heads == HEADS


def test_the_returned_weights_are_those_that_were_captured():
    torch.manual_seed(0)
    model = Alone(need_weights=True, average_attn_weights=False).eval()
    x = sequences()
    with torch.no_grad():
        _, weights = model.attn(x, x, x, **model.call)
    torch.testing.assert_close(captured(model, x)["attn"].weights, weights, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("need_weights", [True, False])
def test_values_of_another_width(need_weights):
    torch.manual_seed(0)
    check_mha(Alone(value_width=5, need_weights=need_weights), sequences())


@pytest.mark.parametrize("need_weights", [True, False])
def test_padded_keys(need_weights):
    class Padded(Alone):
        def forward(self, x):
            mask = PADDING[:1].expand(len(x), -1) if len(x) != 2 else PADDING
            return self.attn(x, x, x, key_padding_mask=mask, need_weights=need_weights)[0]

    # The padding goes with the place in the batch, not with the image: that is found out.
    torch.manual_seed(0)
    [site] = attention_sites(Padded(), sequences())
    assert site.reason == ""  # q and k are the same: only the bias depends on the place
    found = check_mha(Padded(), sequences())
    assert (found["attn"].weights[1, :, :, -2:] == 0).all()


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("norm_first", [True, False])
def test_transformer_encoder_with_its_fast_path(norm_first, batch_first):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(
        WIDTH, HEADS, 16, batch_first=batch_first, norm_first=norm_first, activation="gelu"
    )
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    class BatchFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = model

        def forward(self, x):
            y = self.encoder(x if batch_first else x.transpose(0, 1))
            return y if batch_first else y.transpose(0, 1)

    wrapped = BatchFirst().eval()
    check_mha(wrapped, sequences(), sites=2)

    # What was captured is also what the fused fast path computes, of which nothing is seen inside.
    with torch.no_grad(), torch.profiler.profile() as profile:
        fast = wrapped(sequences())
    operators = {event.name for event in profile.events()}
    assert ("aten::_transformer_encoder_layer_fwd" in operators) == batch_first
    with torch.enable_grad():  # no fast path
        slow = wrapped(sequences())
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-5)


def test_nested_tensors_do_not_come_up():
    class Padded(nn.Module):
        def __init__(self):
            super().__init__()
            layer = nn.TransformerEncoderLayer(WIDTH, 2, 16, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=True)

        def forward(self, x):
            mask = torch.zeros(len(x), TOKENS, dtype=torch.bool)
            mask[:, -2:] = True
            return self.encoder(x, src_key_padding_mask=mask)

    torch.manual_seed(0)
    [one] = captured(Padded(), sequences()).values()
    assert one.site.tokens == TOKENS and (one.weights[..., -2:] == 0).all()


def test_cross_attention_is_refused():
    class Cross(nn.Module):
        def __init__(self, queries):
            super().__init__()
            self.attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
            self.queries = nn.Parameter(torch.randn(queries, WIDTH))

        def forward(self, x):
            return self.attn(self.queries.expand(len(x), -1, -1), x, x)[0]

    def reason(queries):
        [site] = attention_sites(Cross(queries), sequences())
        return site.reason

    assert reason(4) == f"q and k have different numbers of tokens: 4 and {TOKENS}"
    assert reason(TOKENS) == "cross attention: k is of other tokens than q"


def test_queries_with_positions_of_their_own_are_self_attention():
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
            self.place = nn.Parameter(torch.randn(TOKENS, WIDTH))

        def forward(self, x):
            return self.attn(x + self.place, x + self.place, x, need_weights=False)[0]

    torch.manual_seed(0)
    check_mha(Positions(), sequences())


def test_an_added_key_is_refused():
    class Added(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, add_zero_attn=True)

        def forward(self, x):
            return self.attn(x, x, x)[0]

    [site] = attention_sites(Added(), sequences())
    assert site.reason == f"q and k have different numbers of tokens: {TOKENS} and {TOKENS + 1}"


def test_torchvision_vit():
    torch.manual_seed(0)
    model = torchvision.models.VisionTransformer(
        image_size=48, patch_size=16, num_layers=2, num_heads=3, hidden_dim=24, mlp_dim=32
    )
    found = check_mha(model, torch.randn(2, 3, 48, 48), sites=2)
    assert "encoder.layers.encoder_layer_0.self_attention" in found
    assert all(one.site.tokens == 10 for one in found.values())


def test_torchvision_swin_gives_its_weights():
    torch.manual_seed(0)
    model = torchvision.models.SwinTransformer(
        patch_size=[4, 4],
        embed_dim=24,
        depths=[2],
        num_heads=[2],
        window_size=[4, 4],
    )
    images = torch.randn(2, 3, 32, 32)
    found = captured(model, images)
    assert list(found) == ["features.1.0.attn", "features.1.1.attn"]
    inputs = inputs_of(model, images, lambda path: path in found)
    outputs = outputs_of(model, images, type(model.features[1][0].attn), whole=True)

    def windows(x, attn):
        x = x.roll([-s for s in attn.shift_size], (1, 2))
        return x.view(2, 2, 4, 2, 4, 24).transpose(2, 3).reshape(8, 16, 24)

    for name, one in found.items():
        assert (one.site.source, one.site.heads, one.site.per_image) == ("weights", 2, 4)
        assert torch.allclose(one.weights.sum(-1), torch.ones(()), atol=1e-6)
        attn = model.get_submodule(name)
        with torch.no_grad():
            v = attn.qkv(windows(inputs[name], attn)).view(8, 16, 3, 2, 12)[:, :, 2].transpose(1, 2)
            output = attn.proj((one.weights @ v).transpose(1, 2).flatten(2))
        expected = windows(outputs[name], attn)
        torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-5)


def test_a_trained_model_on_real_digits(real_data):
    model, images, labels = trained(real_data)
    with torch.no_grad():
        accuracy = (model(images).argmax(1).numpy() == labels).mean()
    assert accuracy == pytest.approx(0.802, abs=5e-4)  # the model is the one that was trained
    found = check_mha(model, images[:64])
    assert found["encoder.0.attn"].site.tokens == 16 and found["encoder.0.attn"].site.heads == 1
