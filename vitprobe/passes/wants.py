"""What a reader may want of a model in each batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from vitprobe.data.model_input import ModelInput
from vitprobe.taps import Attention, AttentionSite, Call, ResidualSite, Site


@dataclass(frozen=True)
class Activations:
    """`take(site, x, twin)` for every site as it fires, as `taps.capture` calls it.

    subject: the model's place among `Inputs.subjects`. tokens: which of each site.
    """

    subject: int
    sites: Sequence[Site]
    take: Callable[[Site, Tensor, Site | None], None]
    tokens: str = "all"


@dataclass(frozen=True)
class AttentionOf:
    """`take(site, attention)`: q, k and v, or the weights, as `taps.capture_attention` calls it."""

    subject: int
    sites: Sequence[AttentionSite]
    take: Callable[[AttentionSite, Attention], None]


@dataclass(frozen=True)
class Calls:
    """`take(site, call)`: what a module is given beside what it gives, as `taps.capture_calls`
    calls it."""

    subject: int
    sites: Sequence[Site]
    take: Callable[[Site, Call], None]


@dataclass(frozen=True)
class InputsOf:
    """`take(images)`: the model's inputs of the batch, before its forward; not to be written to."""

    subject: int
    take: Callable[[Tensor | ModelInput], None]


@dataclass(frozen=True)
class Residuals:
    """`take(site, z, f)`: the skip and the long branch of each of these residual sums, as
    `taps.capture_residuals` calls it."""

    subject: int
    sites: Sequence[ResidualSite]
    take: Callable[[ResidualSite, Tensor, Tensor], None]


@dataclass(frozen=True)
class OwnForward:
    """`take(images)`: the model's inputs of the batch, for forwards of the reader's own, with a
    backward pass for instance (in `torch.enable_grad()`). The model is in eval mode; other readers
    hear nothing of it, and what it does to gradients the reader undoes."""

    subject: int
    take: Callable[[Tensor | ModelInput], None]


Want = Activations | AttentionOf | Calls | InputsOf | Residuals | OwnForward
