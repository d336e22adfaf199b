"""RandAugment on a batch: torchvision's operations, each once for all images that drew it."""

from __future__ import annotations

import torch
from torchvision.transforms import v2

from vitprobe.training.augment_options import MAGNITUDES
from vitprobe.training.memory import sent

_TORCHVISION = v2.RandAugment(num_magnitude_bins=MAGNITUDES)
OPERATIONS = tuple(_TORCHVISION._AUGMENTATION_SPACE)
_SIGNED = torch.tensor([signed for _, signed in _TORCHVISION._AUGMENTATION_SPACE.values()])


def rand_augment(images: torch.Tensor, numbers: torch.Tensor, magnitude: int) -> torch.Tensor:
    """uint8 (b, 3, H, W) -> the same, after one operation for each two uniform numbers.

    numbers: (b, 2 * operations) in main memory: which operation (all equally likely, the identity
    among them), and whether its direction is reversed. magnitude: 0..30. Source: Cubuk et al. 2019,
    arXiv 1909.13719, with torchvision's ranges, nearest neighbours and black from outside.
    """
    for pair in numbers.split(2, dim=1):
        operation = (pair[:, 0] * len(OPERATIONS)).long()
        reverse = (pair[:, 1] <= 0.5) & _SIGNED[operation]
        images = _step(images, 2 * operation + reverse, magnitude)
    return images


def _step(images: torch.Tensor, kinds: torch.Tensor, magnitude: int) -> torch.Tensor:
    """Images in the order of their kind (2 * operation + reverse), each kind at once, and back."""
    kinds, order = kinds.sort(stable=True)
    values, counts = kinds.unique_consecutive(return_counts=True)
    groups = images[sent(order, images.device)].split(counts.tolist())
    done = [
        _applied(group, *divmod(kind, 2), magnitude)
        for kind, group in zip(values.tolist(), groups, strict=True)
    ]
    return torch.cat(done)[sent(order.argsort(), images.device)]


def _applied(images: torch.Tensor, operation: int, reverse: int, magnitude: int) -> torch.Tensor:
    name = OPERATIONS[operation]
    magnitudes = _TORCHVISION._AUGMENTATION_SPACE[name][0](MAGNITUDES, *images.shape[2:])
    amount = 0.0 if magnitudes is None else float(magnitudes[magnitude])
    # torchvision's own choice draws one operation for a whole batch; its parts are private
    return _TORCHVISION._apply_image_or_video_transform(
        images,
        name,
        -amount if reverse else amount,
        interpolation=_TORCHVISION.interpolation,
        fill=_TORCHVISION._fill,
    )
