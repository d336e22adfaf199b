"""Any module that calls scaled_dot_product_attention: layouts, names, and what is refused."""

import pytest
import torch
from attention_reproduced import captured
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from user_attention import Net, X, made, only

from vitprobe.taps import attention_sites


def check(model, sites=1, x=X):
    """What was captured gives the input of `proj`, to 1e-5."""
    found = captured(model, x)
    seen = []
    handle = model.attend.proj.register_forward_pre_hook(lambda m, args: seen.append(args[0]))
    with torch.no_grad():
        model(x)
    handle.remove()
    assert len(found) == len(seen) == sites
    for one, expected in zip(found.values(), seen, strict=True):
        torch.testing.assert_close(one.output, expected, rtol=1e-5, atol=1e-5)
    return found


def test_any_module_that_calls_it_and_each_of_its_calls():
    found = check(made(scaled_dot_product_attention, calls=3), sites=3)
    assert list(found) == ["attend", "attend#2", "attend#3"]
    assert found["attend"].site.head_dim == 4


def test_scale_causal_mask_bias_and_shared_keys():
    sdpa = scaled_dot_product_attention
    check(made(lambda q, k, v: sdpa(q, k, v, scale=0.1)))
    causal = check(made(lambda q, k, v: sdpa(q, k, v, is_causal=True)))
    assert torch.equal(causal["attend"].weights, causal["attend"].weights.tril())
    for shape in ((6, 6), (2, 6, 6), (1, 2, 6, 6), (1, 1, 1, 6)):
        bias = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        check(made(lambda q, k, v, bias=bias: sdpa(q, k, v, bias)))
        check(made(lambda q, k, v, bias=bias: sdpa(q, k, v, attn_mask=bias > -1)))
    shared = check(made(lambda q, k, v: sdpa(q, k, v, enable_gqa=True), heads=4, kv_heads=2))
    assert shared["attend"].site.heads == 4


def test_values_wider_than_keys():
    check(made(lambda q, k, v: scaled_dot_product_attention(q[..., :3], k[..., :3], v)))


def test_without_a_head_axis_and_with_heads_in_the_batch():
    one = check(made(scaled_dot_product_attention, heads=1, split=False))
    assert (one["attend"].site.heads, one["attend"].site.per_image) == (1, 1)

    def folded(q, k, v):
        q, k, v = (x.flatten(0, 1) for x in (q, k, v))
        mask = torch.arange(36.0).view(1, 6, 6).expand(len(q), 6, 6) / 36
        return scaled_dot_product_attention(q, k, v, mask).unflatten(0, (-1, 2))

    two = check(made(folded))
    assert (two["attend"].site.heads, two["attend"].site.per_image) == (2, 1)


def test_heads_that_are_computed_one_after_the_other():
    def each(q, k, v):
        return torch.stack(
            [
                scaled_dot_product_attention(*t)
                for t in zip(q.unbind(1), k.unbind(1), v.unbind(1), strict=True)
            ],
            1,
        )

    sites = attention_sites(made(each), X)
    assert [site.name for site in sites] == ["attend", "attend#2"]
    assert [(site.heads, site.per_image, site.reason) for site in sites] == [(1, 1, "")] * 2


def windows(heads_first):
    """Three windows of two tokens each, as a fifth axis before or behind that of the heads."""

    def compute(q, k, v):
        q, k, v = (x.unflatten(2, (3, 2)) for x in (q, k, v))  # (B, H, W, T, D)
        if not heads_first:
            q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        bias = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
        y = scaled_dot_product_attention(q, k, v, bias)
        return (y if heads_first else y.transpose(1, 2)).flatten(2, 3)

    return compute


@pytest.mark.parametrize("heads_first", [True, False])
def test_windows_in_an_axis_of_their_own(heads_first):
    model = made(windows(heads_first))
    site = only(model)
    assert (site.heads, site.tokens, site.per_image) == (2, 2, 3)
    outputs = captured(model, X)["attend"].output.unflatten(0, (2, 3)).flatten(1, 2)
    seen = []
    model.attend.proj.register_forward_pre_hook(lambda m, args: seen.append(args[0]))
    model(X)
    torch.testing.assert_close(outputs, seen[0], rtol=1e-5, atol=1e-5)


def test_what_cannot_be_told_or_mixes_images_has_a_reason():
    sdpa = scaled_dot_product_attention

    def window_major(q, k, v):
        q, k, v = (x.unflatten(2, (3, 2)).movedim(2, 0).flatten(0, 1) for x in (q, k, v))
        return sdpa(q, k, v).unflatten(0, (3, -1)).movedim(0, 2).flatten(2, 3)

    mixed = "it is not the same for an image wherever in the batch that is: mixed, or by chance"
    assert only(made(window_major)).reason == mixed
    assert only(made(lambda q, k, v: sdpa(q + torch.rand(1), k, v))).reason == mixed
    assert only(made(lambda q, k, v: sdpa(q + q.mean(0), k, v))).reason == mixed

    def one_batch(q, k, v):  # all images' tokens attend to each other
        q, k, v = (x.movedim(0, 1).flatten(1, 2)[None] for x in (q, k, v))
        return sdpa(q, k, v)[0].unflatten(1, (-1, 6)).movedim(1, 0)

    assert only(made(one_batch)).reason == "its heads or tokens change from run to run"
    dropped = only(made(lambda q, k, v: sdpa(q, k, v, dropout_p=0.5))).reason
    assert dropped == "it drops 0.5 of its attention by chance"
    fewer = only(made(lambda q, k, v: sdpa(q, k[:, :, ::2], v[:, :, ::2]))).reason
    assert fewer == "q and k have different numbers of tokens: 6 and 3"

    class Nameless(nn.Module):
        def forward(self, x):
            q = x.unflatten(-1, (2, 4)).transpose(1, 2).flatten(0, 1)
            return sdpa(q, q, q).unflatten(0, (-1, 2)).transpose(1, 2).flatten(2)

    [site] = attention_sites(Net(Nameless()), X)
    assert site.reason == "which axis of (4, 6, 4) has its heads cannot be told"


def test_channels_that_attend_with_as_many_in_a_head_as_tokens():
    x = torch.randn(2, 4, 8)  # heads of 4 channels

    def channels(q, k, v):
        q, k, v = (t.transpose(2, 3) for t in (q, k, v))
        return scaled_dot_product_attention(q, k, v).transpose(2, 3)

    reason = "channel attention: channels attend to channels, not tokens to tokens"
    assert only(made(channels), x).reason == reason
    assert only(made(channels)).reason == reason  # 6 tokens: their shape tells
    assert only(made(scaled_dot_product_attention), x).reason == ""
