"""Does what was captured of attention give what the model itself made of it?"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vitprobe.ops.reference_attention import attention_weights
from vitprobe.taps import Attention, AttentionSite, attention_sites, capture_attention


@dataclass
class Captured:
    """Of one site: its weights p (B W, H, T, T), and p v as (B W, T, H Dv) where v is known."""

    site: AttentionSite
    weights: Tensor
    output: Tensor | None


def captured(model: nn.Module, images: Tensor) -> dict[str, Captured]:
    """By site name; every site of the model must be readable."""
    sites = attention_sites(model, images[:1])
    assert [site.reason for site in sites] == [""] * len(sites)
    found: dict[str, Captured] = {}

    def take(site: AttentionSite, got: Attention) -> None:
        assert site.name not in found
        if got.weights is not None:
            assert site.source == "weights" and got.q is None
            found[site.name] = Captured(site, got.weights.clone(), None)
            return
        assert site.source == "q, k" and got.q.shape[1:] == (site.heads, site.tokens, site.head_dim)
        bias = got.bias
        if bias is not None and bias.dtype == torch.bool:
            bias = torch.zeros(bias.shape).masked_fill(~bias, -torch.inf)
        p = attention_weights(got.q, got.k, got.scale, bias)
        v = got.v.repeat_interleave(got.q.shape[1] // got.v.shape[1], dim=1)
        found[site.name] = Captured(site, p, (p @ v).transpose(1, 2).flatten(2))

    with capture_attention(model, sites, take):
        model(images)
    assert list(found) == [site.name for site in sites]
    assert all(len(one.weights) == len(images) * one.site.per_image for one in found.values())
    return found


def inputs_of(model: nn.Module, images: Tensor, names: Callable[[str], bool]) -> dict[str, Tensor]:
    """First argument of the modules whose path `names` accepts, in a forward in eval mode, which
    the model is left in."""
    seen: dict[str, Tensor] = {}
    handles = [
        module.register_forward_pre_hook(
            lambda module, args, path=path: seen.update({path: args[0].clone()})
        )
        for path, module in model.named_modules()
        if names(path)
    ]
    model.eval()
    with torch.no_grad():
        model(images)
    for handle in handles:
        handle.remove()
    return seen


def check_against_projection(
    model: nn.Module, images: Tensor, projection: str, sites: int
) -> dict[str, Captured]:
    """Every site's p v is the input of its module's output projection, to 1e-5."""
    found = captured(model, images)
    assert len(found) == sites
    inputs = inputs_of(model, images, lambda path: path.endswith(projection))
    for name, one in found.items():
        expected = inputs[f"{name}.{projection}"]
        torch.testing.assert_close(one.output, expected.view_as(one.output), rtol=1e-5, atol=1e-5)
    return found
