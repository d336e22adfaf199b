"""Loss and accuracy on images that are not trained on."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitprobe.ops.wide import wide, wide_home
from vitprobe.passes.processes import Processes
from vitprobe.training.augment import Augment
from vitprobe.training.images import TrainingImages


@torch.no_grad()
def evaluate(
    model: nn.Module,
    images: TrainingImages,
    plain: Augment,
    *,
    batch_size: int,
    processes: Processes,
    autocast,
) -> tuple[float, float]:
    """(mean cross entropy in nats, share of right answers), each process judging its part.

    plain: an Augment without options, which only normalises.
    The model is in eval mode inside and in its former mode outside.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    part = processes.part(len(images))
    nothing = torch.empty(batch_size, 0)
    order = torch.arange(part.start, part.stop).split(batch_size)
    weight = next(model.parameters())
    dtype = weight.dtype
    sums = torch.zeros(2, dtype=torch.float64, device=wide_home(weight.device))
    try:
        for pixels, labels in images.batches([rows for rows in order if len(rows)]):
            with autocast():
                logits = model(plain(pixels, nothing[: len(pixels)]).to(dtype))
            # of bfloat16 logits the loss is taken in float32
            sums += judged(logits.to(torch.promote_types(logits.dtype, torch.float32)), labels)
    finally:
        for module, training in modes:
            module.training = training
    loss, right = (processes.sum(sums) / max(len(images), 1)).tolist()
    return loss, right


def judged(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum of cross entropies and number of right answers, float64 (2,)."""
    loss = F.cross_entropy(logits, labels, reduction="sum")
    return torch.stack([wide(loss), wide((logits.argmax(1) == labels).sum())])
