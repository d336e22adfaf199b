"""Attention distance, patch mass and entropy of many heads, streamed over images, with errors."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from vitprobe.metrics.silence import NEVER
from vitprobe.ops import AttentionStatistics
from vitprobe.ops.wide import wide


class AttentionResult(NamedTuple):
    """Means over images and their standard errors: (heads of all layers,) float64 each.

    NaN where a head has no value, and errors also where it has that of one image only.
    `left_out`: queries, of all images, that no patch gave attention to.
    """

    distance_raw: Tensor
    distance: Tensor
    patch_mass: Tensor
    entropy: Tensor
    distance_raw_se: Tensor
    distance_se: Tensor
    patch_mass_se: Tensor
    entropy_se: Tensor
    left_out: Tensor


class AttentionMeans(Metric):
    """Means over images of what `ops.attention_statistics` gives for every image and head.

    Windows of one image are averaged first. An image none of whose queries gives attention to a
    patch has no distance, and does not enter the mean of `distance`. The states are sums in
    float64, so shards merge by addition and processes by one all-reduce; nothing waits for the
    device.

    Args:
        heads: number of heads of every layer; results come in this order, layer after layer.

    Example:
        >>> from vitprobe import ops
        >>> q = k = torch.zeros(3, 2, 17, 8)  # attention that is equal over all tokens
        >>> metric = AttentionMeans(heads=[2])
        >>> metric.update([ops.attention_statistics(q, k, 1.0, (4, 4), 1)])
        >>> round(metric.compute().patch_mass[0].item(), 4)  # 16/17
        0.9412
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(self, heads: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self.heads = list(heads)
        total = sum(self.heads)
        sums = torch.zeros(4, total, dtype=torch.float64)  # as AttentionStatistics: raw, ...
        self.add_state("sums", sums.clone(), "sum")
        self.add_state("squares", sums.clone(), "sum")
        self.add_state("images", torch.zeros(4, total, dtype=torch.int64), "sum")
        self.add_state("left_out", torch.zeros(total, dtype=torch.float64), "sum")
        self.add_state("batches", torch.zeros((), dtype=torch.int64), "sum")
        self.add_state("first_bad", torch.full((total,), NEVER), "min")

    def update(
        self,
        layers: Sequence[AttentionStatistics],
        windows: Sequence[int] = (),
        batch: int | None = None,
    ) -> None:
        """Add one batch of images: the statistics of every layer.

        Args:
            layers: fields are (B W, heads of the layer), W windows of an image side by side.
            windows: W of every layer; empty: 1.
            batch: its number, for the reasons of blanks; None: that of the batches so far.

        Raises:
            ValueError: other layers or heads than declared, or layers of other images.
        """
        windows = windows or [1] * len(layers)
        shapes = [layer.entropy.shape for layer in layers]
        if [heads for _, heads in shapes] != self.heads:
            raise ValueError(f"layers of {self.heads} heads were given shapes {shapes}")
        if len({rows / parts for (rows, _), parts in zip(shapes, windows, strict=True)}) != 1:
            raise ValueError(f"layers of one batch have shapes {shapes} in {windows} windows")
        values = torch.cat(
            [self._of_images(*layer) for layer in zip(layers, windows, strict=True)], dim=2
        )
        mass = values[2]
        # Where all queries are left out only the distance is NaN; where q or k is not finite, all.
        absent = torch.zeros_like(values, dtype=torch.bool)
        absent[1] = values[1].isnan() & mass.isfinite()
        kept = values.masked_fill(absent, 0)
        self.sums += kept.sum(1)
        self.squares += kept.square().sum(1)
        self.images += (~absent).sum(1)
        self.left_out += torch.cat([wide(layer.left_out).sum(0) for layer in layers]).to(
            self.device
        )
        bad = ~mass.isfinite().all(0)
        now = self.first_bad.clamp(max=self.batches if batch is None else batch)
        self.first_bad = torch.where(bad, now, self.first_bad)
        self.batches += 1

    def _of_images(self, layer: AttentionStatistics, windows: int) -> Tensor:
        """(4, B, H) float64: the mean over each image's windows (of those with a distance)."""
        values = wide(torch.stack(layer[:4])).to(self.device)
        if windows == 1:
            return values
        values = values.unflatten(1, (-1, windows))
        distance, mass = values[1], values[2]
        means = values.mean(2)
        counted = ~(distance.isnan() & mass.isfinite())
        means[1] = torch.where(counted, distance, 0).sum(1) / counted.sum(1)
        return means

    def compute(self) -> AttentionResult:
        """Means and standard errors over all images so far."""
        n = self.images.double()
        means = self.sums / n
        variances = (self.squares - self.sums * means).clamp(min=0) / (n - 1)
        errors = torch.where(n > 1, (variances / n).sqrt(), torch.nan)
        return AttentionResult(*means, *errors, self.left_out)

    def blanks(self) -> list[str]:
        """Why a head has no value, or ""."""
        reasons = []
        for first, images in zip(self.first_bad.tolist(), self.images.T.tolist(), strict=True):
            if first != NEVER:
                reasons.append(f"non-finite values (first in batch {first})")
            elif not images[0]:
                reasons.append("no images")
            else:
                reasons.append("" if images[1] else "no patch is given attention")
        return reasons
