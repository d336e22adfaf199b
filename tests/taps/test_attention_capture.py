"""Reading attention: what has no attention to read, errors, and nothing left behind."""

import pytest
import timm
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from user_attention import X, made

from vitprobe.errors import InputError
from vitprobe.ops.reference_attention import attention_weights
from vitprobe.taps import attention_sites, capture_attention

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
    assert [site.name for site in attention_sites(compiled, X)] == ["attend"]
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
