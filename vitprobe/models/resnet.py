"""ResNet-18/34/50/101 (He et al. 2015, arXiv 1512.03385) with a stem that suits the image size."""

from collections.abc import Mapping

import torch
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn

from vitprobe.models.image_sizes import ImageSizes

SMALL = 64  # pixels: up to here the stem keeps the image's resolution

LAYOUTS = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}


def resnet(depth: int, num_classes: int = 10, image_size: int = 32, in_chans: int = 3) -> nn.Module:
    """ResNet of 18, 34, 50 or 101 layers: images (B, in_chans, H, W) -> logits (B, num_classes).

    Up to 64 px the CIFAR stem (3x3, stride 1, no max-pool), above it ImageNet's (7x7, stride 2,
    max-pool). The keys are torchvision's and timm's.
    """
    block, layers = LAYOUTS[depth]
    # timm zeroes each block's last norm, which helps training to start. An untrained network then
    # has constant activations on every residual branch, and nothing there could be compared.
    model = ResNet(block, layers, num_classes=num_classes, in_chans=in_chans, zero_init_last=False)
    if image_size <= SMALL:
        model.conv1 = nn.Conv2d(in_chans, 64, kernel_size=3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
        model.maxpool = nn.Identity()
    return model


def stem_sizes(state: Mapping[str, torch.Tensor]) -> ImageSizes | None:
    """The image sizes that a checkpoint's stem is for; None if its first convolution is neither."""
    weight = state.get("conv1.weight")
    if weight is None or weight.ndim != 4:
        return None
    because = f"conv1.weight {tuple(weight.shape)}"
    if weight.shape[-1] == 3:
        return ImageSizes((32, 32), because, low=1, high=SMALL)
    if weight.shape[-1] == 7:
        return ImageSizes((224, 224), because, low=SMALL + 1, high=float("inf"))
    return None
