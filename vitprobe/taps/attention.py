"""Attention read where it is computed: q, k and v, or the attention weights, of every head."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from vitprobe.data.model_input import ModelInput, run
from vitprobe.errors import InputError
from vitprobe.models import unwrapped
from vitprobe.models.quantised import has_quantised
from vitprobe.models.restore import as_found
from vitprobe.taps.attention_calls import attention_calls, attention_like
from vitprobe.taps.attention_channels import CHANNELS, channels_attend, channels_attend_in
from vitprobe.taps.attention_site import Attention, AttentionSite, Found
from vitprobe.taps.axes import ExampleAxis, difference, rounding, sample
from vitprobe.taps.given import given
from vitprobe.taps.three import three_of

__all__ = ["Attention", "AttentionSite", "attention_sites", "capture_attention"]

Take = Callable[[AttentionSite, Attention], None]

# Images 0 and 1; then with one more, each in another place.
_TWO = [0, 1]
_MOVED = [2, 0, 1]
_MOVED_BACK = [_MOVED.index(i) for i in _TWO]


def attention_sites(model: nn.Module, images: Any) -> list[AttentionSite]:
    """Every place where the model computes attention, in the order in which they fire.

    The model runs twice, on two images and on three, in eval mode and without gradients: what a
    site gives for an image must be the same in both, wherever in the batch the image is, and its
    windows must follow one another.

    Args:
        model: any module; left as it was found.
        images: (n, ...) as the model takes them, or a tuple, list or mapping (see
            vitprobe.data.takes); one is enough (noise makes others of it).

    Returns:
        Sites that can be read and, with a reason, those that cannot; then, with a reason, modules
        whose class is named after attention and in which no attention was seen. [] if there is
        neither.

    Raises:
        InputError: no image, or no floating-point one; a TorchScript program, which does not show
            what it computes.
    """
    model = unwrapped(model)
    three = three_of(given(model, images))
    ran: set[str] = set()
    with torch.inference_mode(False):
        two = _run(model, three[_TWO], ran)
        moved = _run(model, three[_MOVED], ran)
    dtypes = {seen.dtype for seen in two.values() if seen.dtype}
    tolerance = rounding(dtypes, three.device, has_quantised(model))
    names = list(dict.fromkeys((*two, *moved)))
    sites = [_site(name, two.get(name), moved.get(name), tolerance) for name in names]
    sites = [
        site if site.reason else _of_tokens(model, three, site, two[site.name].found)
        for site in sites
    ]
    return sites + _unseen(model, ran, sites)


@contextmanager
def capture_attention(model: nn.Module, sites: list[AttentionSite], take: Take) -> Iterator[None]:
    """Inside, every forward hands each of these sites' attention to `take`; nothing is stored.

    The number of images may differ between forwards. The model runs in eval mode, without
    gradients, and is left as found, also when the forward or `take` raises. A site that does not
    fire this time gets no call.

    Raises InputError before any forward for a site that cannot be read, and inside the forward
    when a site gives something else than it gave to `attention_sites`.
    """
    model = unwrapped(model)
    wanted = {site.name: site for site in sites}
    for site in sites:
        if site.reason:
            raise InputError(f"attention of {site.name!r} cannot be read: {site.reason}")

    def observe(name: str, found: Found) -> None:
        site = wanted.get(name)
        if site is None:
            return
        if found.reason:
            raise InputError(f"attention of {name!r} cannot be read this time: {found.reason}")
        sizes = (site.heads, site.tokens, site.head_dim)
        now = (found.heads, found.tokens, found.head_dim)
        if now != sizes or found.source != site.source or len(found.leading) % site.per_image:
            raise InputError(
                f"attention of {name!r} has heads, tokens and head size {now}, but {sizes} when "
                "its sites were looked for: look for them with images of this size"
            )
        take(site, found.attention)

    with as_found(model), torch.no_grad(), attention_calls(model, observe):
        yield


@dataclass(frozen=True)
class _Seen:
    """What is kept of one site in one run."""

    found: Found  # without its tensors
    source: str = ""
    batch: int = 0  # images x windows
    dtype: torch.dtype | None = None
    sample: Tensor | None = None  # (batch, places)


def _run(model: nn.Module, images: Tensor | ModelInput, ran: set[str]) -> dict[str, _Seen]:
    seen: dict[str, _Seen] = {}

    def observe(name: str, found: Found) -> None:
        if found.reason:
            seen[name] = _Seen(found)
            return
        x = found.leading
        values = sample(x, ExampleAxis(0))
        seen[name] = _Seen(replace(found, attention=None), found.source, len(x), x.dtype, values)

    with as_found(model), torch.no_grad(), attention_calls(model, observe) as these:
        run(model, images)
    ran |= these
    return seen


def _site(name: str, two: _Seen | None, moved: _Seen | None, tolerance: float) -> AttentionSite:
    if two is None or moved is None:
        return AttentionSite(name, 0, 0, 0, 0, "", "it computes attention in some forwards only")
    found = two.found
    reason = found.reason or moved.found.reason
    windows, rest = divmod(two.batch, len(_TWO))
    if not reason and found != moved.found:
        reason = "its heads or tokens change from run to run"
    if not reason and (rest or moved.batch != windows * len(_MOVED)):
        reason = f"its batch of {two.batch} for 2 images is {moved.batch} for 3"
    if not reason:
        as_moved = moved.sample.unflatten(0, (-1, windows))[_MOVED_BACK].flatten(0, 1)
        if difference(as_moved, two.sample) > tolerance:
            reason = (
                "it is not the same for an image wherever in the batch that is: mixed, or by chance"
            )
    if reason:
        return AttentionSite(name, 0, 0, 0, 0, "", reason)
    return AttentionSite(name, found.heads, found.tokens, found.head_dim, windows, two.source, "")


def _of_tokens(
    model: nn.Module, images: Tensor | ModelInput, site: AttentionSite, found: Found
) -> AttentionSite:
    """The site, or the same with the reason that channels attend there."""
    channels = channels_attend(found)
    if channels is None:
        with torch.inference_mode(False):
            channels = channels_attend_in(model, images, site)
    return AttentionSite(site.name, 0, 0, 0, 0, "", CHANNELS) if channels else site


def _unseen(model: nn.Module, ran: set[str], sites: list[AttentionSite]) -> list[AttentionSite]:
    """Modules named after attention, apart from those in which, or around which, it was seen."""
    seen = {site.name.partition("#")[0] + "." for site in sites}
    unseen = []
    for path, module in model.named_modules():
        around = path + "."
        if not path or not attention_like(module):
            continue
        if any(at.startswith(around) or around.startswith(at) for at in seen):
            continue
        if isinstance(module, torch.jit.ScriptModule):
            reason = "a TorchScript program does not show what it computes"
        elif path not in ran:
            reason = "it did not run"
        else:
            reason = (
                "it ran, but without scaled_dot_product_attention or a softmax of tokens x tokens"
            )
        unseen.append(AttentionSite(path, 0, 0, 0, 0, "", reason))
    return unseen
