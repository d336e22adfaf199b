"""Three examples of one, for experiments that need several and different ones."""

import torch
from torch import Tensor

from vitprobe.data.model_input import ModelInput, tensors_of
from vitprobe.errors import InputError


def three_of(images: Tensor | ModelInput) -> Tensor | ModelInput:
    """Three distinct examples, copied: the first, and noise upon its images.

    Of several inputs those that are no floating-point tensors of three axes or more (masks,
    indices) are repeated, unless there are no others.

    Raises:
        InputError: no image, or no floating-point one.
    """
    inputs = tensors_of(images)
    if inputs[0].ndim == 0 or len(inputs[0]) == 0:
        raise InputError("no image: a model is looked at by running it on one")
    floats = [x.ndim for x in inputs if x.is_floating_point()]
    if not floats:
        raise InputError(
            f"images of {inputs[0].dtype}, and a model is looked at with noise upon them: "
            "convert them first, for instance x.float() / 255, and normalise"
        )
    least = min(3, max(floats))

    def three(x: Tensor) -> Tensor:
        if x.ndim == 0:
            return x
        noisy = x.is_floating_point() and x.ndim >= least
        return _with_noise(x[:1].clone()) if noisy else x[[0, 0, 0]]

    with torch.inference_mode(False), torch.no_grad():
        return images.map(three) if isinstance(images, ModelInput) else three(images)


def _with_noise(first: Tensor) -> Tensor:
    """(3, ...): (1, ...) and twice that with noise of its own spread."""
    seeded = torch.Generator().manual_seed(0)
    noise = torch.randn((2, *first.shape[1:]), generator=seeded).to(first)
    spread = first.std() if first.numel() > 1 else first.new_ones(())
    spread = torch.where(spread > 0, spread, torch.ones_like(spread))
    return torch.cat([first, first + noise * spread])
