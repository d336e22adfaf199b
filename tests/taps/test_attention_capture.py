"""Places of attention: their names, batches and refusals, reading them, nothing left behind."""

import pytest
import timm
import torch
from attention_reproduced import captured
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from vitprobe.errors import InputError
from vitprobe.ops.reference_attention import attention_weights
from vitprobe.taps import attention_sites, capture_attention

X = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0))  # (B, T, C)


class Attend(nn.Module):
    """A module of the user's: `compute(q, k, v)` of (B, H, T, D) or what `split` makes of them."""

    def __init__(self, compute, heads=2, kv_heads=None, split=True):
        super().__init__()
        self.num_heads = heads
        self.kv_heads = kv_heads or heads
        self.qkv = nn.Linear(8, 8 + 2 * (8 // heads) * self.kv_heads)
        self.proj = nn.Linear(8, 8)
        self.compute, self.split = compute, split

    def forward(self, x):
        width = (8 // self.num_heads) * self.kv_heads
        q, k, v = self.qkv(x).split([8, width, width], -1)
        if self.split:
            heads = (self.num_heads, self.kv_heads, self.kv_heads)
            q, k, v = (
                t.unflatten(-1, (h, -1)).transpose(1, 2)
                for t, h in zip((q, k, v), heads, strict=True)
            )
        y = self.compute(q, k, v)
        return self.proj(y.transpose(1, 2).flatten(2) if y.ndim == 4 else y)


class Net(nn.Module):
    def __init__(self, attend, calls=1):
        super().__init__()
        self.attend, self.calls = attend, calls

    def forward(self, x):
        for _ in range(self.calls):
            x = x + self.attend(x)
        return x


def made(compute, calls=1, **options):
    torch.manual_seed(0)
    return Net(Attend(compute, **options), calls)


def only(model, x=X):
    [site] = attention_sites(model, x[:1])
    return site


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


SOFTMAXES = {
    "torch": lambda s: torch.softmax(s, -1),
    "method": lambda s: s.softmax(dim=3),
    "functional": lambda s: nn.functional.softmax(s, dim=-1, dtype=torch.float64).to(s.dtype),
    "module": nn.Softmax(-1),
}
PRODUCTS = {
    "operator": lambda p, v: p @ v,
    "matmul": lambda p, v: torch.matmul(nn.functional.dropout(p, 0.5, training=False), v),
    "einsum": lambda p, v: torch.einsum("bhij,bhjd->bhid", p, v),
    "transposed": lambda p, v: (v.transpose(2, 3) @ p.transpose(2, 3)).transpose(2, 3),
    "bmm": lambda p, v: torch.bmm(p.flatten(0, 1), v.flatten(0, 1)).unflatten(0, (-1, 2)),
}


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("softmax", SOFTMAXES)
def test_weights_multiplied_out(softmax, product):
    used = []

    def compute(q, k, v):
        p = SOFTMAXES[softmax](q @ k.transpose(2, 3))
        used.append(p.clone())
        return PRODUCTS[product](p, v)

    model = made(compute)
    if softmax == "module":
        model.attend.softmax = SOFTMAXES[softmax]
    found = captured(model, X)
    [one] = found.values()
    assert list(found) == ["attend"]
    assert one.site.source == "weights" and one.site.head_dim == 4
    torch.testing.assert_close(one.weights.to(used[-1].dtype), used[-1], rtol=0, atol=0)


def test_weights_that_are_changed_are_refused():
    changed = "its softmax is changed before it is multiplied with the values"

    def gate(q, k, v):
        return (0.5 * (q @ k.transpose(2, 3)).softmax(-1)) @ v

    def in_place(q, k, v):
        return (q @ k.transpose(2, 3)).softmax(-1).mul_(0.5) @ v

    assert only(made(gate)).reason == changed
    assert only(made(in_place)).reason == changed


def test_a_softmax_that_is_no_attention_is_not_listed():
    class Gate(nn.Module):
        def forward(self, x):
            return x * x.mean(1).softmax(-1)[:, None]

    assert attention_sites(Net(Gate()), X) == []
    assert attention_sites(nn.Sequential(nn.Linear(8, 8), nn.Softmax(-1)), X) == []


TORCHSCRIPT = "a TorchScript program does not show what it computes"


def test_modules_named_after_attention_say_why_they_were_not_read():
    class LinearAttention(nn.Module):
        def forward(self, x):
            return x @ (x.transpose(1, 2) @ x)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.unused = LinearAttention(), nn.MultiheadAttention(8, 2)
            self.scripted = torch.jit.script(LinearAttention())

        def forward(self, x):
            return self.scripted(self.linear(x))

    sites = attention_sites(Model(), X)
    assert {site.name: (site.source, site.reason) for site in sites} == {
        "linear": (
            "",
            "it ran, but without scaled_dot_product_attention or a softmax of tokens x tokens",
        ),
        "unused": ("", "it did not run"),
        "scripted": ("", TORCHSCRIPT),
    }


def test_torchscript_is_refused_and_compiled_models_run_as_they_were_written():
    model = made(scaled_dot_product_attention)
    with pytest.raises(InputError, match="TorchScript"):
        attention_sites(torch.jit.script(nn.Linear(8, 8)), X)
    layer = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True).eval()
    [site] = attention_sites(torch.jit.trace(layer, X, check_trace=False), X)
    assert (site.name, site.reason) == ("self_attn", TORCHSCRIPT)
    compiled = torch.compile(model, backend="eager")
    with torch.no_grad():
        compiled(X)
    assert [site.name for site in attention_sites(compiled, X)] == ["_orig_mod.attend"]
    model.attend.compile(backend="eager")
    with torch.no_grad():
        model(X)
    assert [site.name for site in attention_sites(model, X)] == ["attend"]


def test_other_numbers_of_images_and_other_sizes():
    model = made(scaled_dot_product_attention)
    sites = attention_sites(model, X[:1])
    batches = []
    with capture_attention(model, sites, lambda site, got: batches.append(len(got.q))):
        model(X[:1])
        model(torch.randn(5, 6, 8))
        model.attend(X)  # not a forward of the model
    assert batches == [1, 5]
    with (
        pytest.raises(InputError, match=r"\(2, 7, 4\), but \(2, 6, 4\)"),
        capture_attention(model, sites, lambda site, got: None),
    ):
        model(torch.randn(5, 7, 8))
    refused = attention_sites(made(lambda q, k, v: v[:, :, :1] * q.softmax(-1).sum()), X)
    assert refused == []
    [site] = attention_sites(
        made(lambda q, k, v: scaled_dot_product_attention(q, k[:, :, 1:], v[:, :, 1:])), X
    )
    with (
        pytest.raises(InputError, match="'attend' cannot be read: q and k"),
        capture_attention(model, [site], lambda site, got: None),
    ):
        raise AssertionError("not reached")


def test_no_image_is_wrong_input():
    with pytest.raises(InputError, match="no image"):
        attention_sites(made(scaled_dot_product_attention), X[:0])


def everything(model):
    tables = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_always_called")
    return (
        [module.training for module in model.modules()],
        [parameter.requires_grad for parameter in model.parameters()],
        [len(vars(module)[table]) for module in model.modules() for table in tables],
        [vars(module).get("fused_attn") for module in model.modules()],
        torch.overrides._get_current_function_mode_stack(),
    )


@pytest.fixture
def user_model():
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, embed_dim=24).train()
    model.blocks[0].attn.fused_attn = False
    model.blocks[1].eval()
    model.head.weight.requires_grad_(False)
    model.norm.register_forward_hook(lambda module, args, output: None)
    return model


def test_the_model_is_left_as_found(user_model):
    before = everything(user_model)
    images = torch.randn(2, 3, 32, 32)
    sites = attention_sites(user_model, images)
    assert everything(user_model) == before
    with capture_attention(user_model, sites, lambda site, got: None):
        user_model(images)
    assert everything(user_model) == before


def test_errors_of_the_model_and_of_take_come_through_and_leave_nothing(user_model):
    before = everything(user_model)
    images = torch.randn(2, 3, 32, 32)
    sites = attention_sites(user_model, images)

    def fail(site, got):
        raise KeyError(site.name)

    with (
        pytest.raises(KeyError, match=r"blocks\.0\.attn"),
        capture_attention(user_model, sites, fail),
    ):
        user_model(images)
    assert everything(user_model) == before
    with pytest.raises(RuntimeError), capture_attention(user_model, sites, lambda site, got: None):
        user_model(torch.randn(2, 5, 32, 32))
    assert everything(user_model) == before
    with pytest.raises(AssertionError):
        attention_sites(user_model, torch.randn(2, 3, 16, 16))
    assert everything(user_model) == before


def test_after_a_failed_forward_the_calls_are_counted_afresh():
    model = made(scaled_dot_product_attention, calls=2)
    sites = attention_sites(model, X)
    names = []

    def take(site, got):
        names.append(site.name)
        if len(names) == 1:
            raise ValueError

    with capture_attention(model, sites, take):
        with pytest.raises(ValueError):
            model(X)
        model(X)
    assert names == ["attend", "attend", "attend#2"]


def test_only_the_sites_asked_for_and_no_gradients():
    model = made(scaled_dot_product_attention, calls=3)
    sites = attention_sites(model, X)
    taken = []

    def take(site, got):
        taken.append(site.name)
        assert not got.q.requires_grad
        attention_weights(got.q, got.k, got.scale, None)  # its softmax is not the model's

    with capture_attention(model, sites[1:2], take):
        model(X)
    assert taken == ["attend#2"]


def test_in_inference_mode():
    model = made(lambda q, k, v: (q @ k.transpose(2, 3)).softmax(-1) @ v)
    with torch.inference_mode():
        sites = attention_sites(model, torch.randn(2, 6, 8))
        taken = []
        with capture_attention(model, sites, lambda site, got: taken.append(got.weights.shape)):
            model(X)
    assert taken == [(2, 2, 6, 6)]
