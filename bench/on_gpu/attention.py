"""`attention_statistics` by each kernel, against attention itself and the statistics by torch.

FLASH computes softmax(q k^T) v by torch's flash backend, v = k: what a model pays for its own
attention. WHOLE computes what is asked for: the weights, then weighted sums.
"""

from contextlib import nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from on_gpu import rivals
from on_gpu.clock import input_sets, measure
from on_gpu.kernels import attentions, need_kernels
from on_gpu.names import FLASH, MATERIALISED
from on_gpu.section import Section
from vitprobe.ops import reference_attention as reference

HEADS = 12
CASES = [
    (images, side, depth) for side in (14, 32) for depth in (64, 128) for images in (64, 8, 32)
]
DRY_CASES = [(4, 6, 16)]


def work(section: Section) -> None:
    """A row for each case: flop, ways, the largest errors, the rival's backend."""
    need_kernels(section.device)
    rivals.full_precision()
    cases = DRY_CASES if section.dry_run else CASES
    for k, case in enumerate(cases):
        if section.time_left() < 2:
            section.note(left_out=f"no time left for images, side, depth = {case} and what follows")
            return
        seconds = min(2.0, section.time_left() / (len(cases) - k) / 2)
        _case(section, *case, 0.02 if section.dry_run else seconds)


def _case(section: Section, images: int, side: int, depth: int, seconds: float) -> None:
    device, tokens = section.device, side * side + 1
    heads = 2 if section.dry_run else HEADS
    shape = (images, heads, tokens, depth)
    bytes_each = 2 * images * heads * tokens * depth * 2  # q and k
    sets = input_sets(bytes_each, device)
    q, k = (
        [torch.randn(shape, device=device).to(torch.bfloat16) for _ in range(sets)]
        for _ in range(2)
    )
    far = reference.patch_distances(side, side, 16.0, 16.0).to(device, torch.float32)
    scale = depth**-0.5

    def call(function):
        return lambda i: function(q[i], k[i], scale, (side, side), 1, patch_size=16.0)

    ways = {name: call(function) for name, function in attentions().items()}
    ways[FLASH] = lambda i: _flash(q[i], k[i], scale, device)
    ways[MATERIALISED] = lambda i: materialised(q[i], k[i], scale, far)
    errors = {}
    first = (q[0][:1].double(), k[0][:1].double(), scale, far.double())
    expected = torch.stack(materialised(*first))
    for name in (*attentions(), MATERIALISED):
        found = torch.stack(list(ways[name](0)[:4]))[:, :1]
        errors[name] = ((found.double() - expected) / expected).abs().max().item()
    section.add(
        dtype="bf16",
        images=images,
        heads=heads,
        tokens=tokens,
        depth=depth,
        backend="cpu" if section.dry_run else "FLASH_ATTENTION",
        input_sets=sets,
        bytes=bytes_each,
        flop=2 * images * heads * tokens * tokens * depth,  # q k^T; attention does twice as many
        ways=measure(ways, sets, seconds, device),
        errors=errors,
    )


def _flash(q: torch.Tensor, k: torch.Tensor, scale: float, device: str) -> torch.Tensor:
    """Fails where the backend does not take the inputs: another one would not be named."""
    only = sdpa_kernel(SDPBackend.FLASH_ATTENTION) if device == "cuda" else nullcontext()
    with only:
        return scaled_dot_product_attention(q, k, k, scale=scale)


def materialised(
    q: torch.Tensor, k: torch.Tensor, scale: float, far: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """distance_raw, distance, mass, entropy (B, H), as a careful user writes them: the product in
    the type of q, the rest in float32, or float64 for float64."""
    p = (scale * (q[:, :, 1:] @ k.mT)).softmax(-1, dtype=far.dtype)
    patches = p[..., 1:]
    dist, mass = (patches * far).sum(-1), patches.sum(-1)
    entropy = -torch.xlogy(p, p).sum(-1)
    return dist.mean(-1), (dist / mass).mean(-1), mass.mean(-1), entropy.mean(-1)
