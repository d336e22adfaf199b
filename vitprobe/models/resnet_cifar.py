"""He's ResNets for CIFAR-10: 20, 32, 44 and 56 layers (He et al. 2015, arXiv 1512.03385, 4.2)."""

from torch import Tensor, nn
from torch.nn import functional as F


def resnet_cifar(
    depth: int, num_classes: int = 10, image_size: int = 32, in_chans: int = 3
) -> nn.Module:
    """ResNet of depth 6n + 2; it takes any image size. See `CifarResNet`."""
    return CifarResNet((depth - 2) // 6, num_classes, in_chans)


class CifarResNet(nn.Module):
    """A 3x3 stem and three stages of n blocks, 16, 32 and 64 channels wide: 6n + 2 layers.

    Images (B, in_chans, H, W) -> logits (B, num_classes). He's option A joins the stages: no
    shortcut has weights.
    """

    def __init__(self, blocks: int, num_classes: int = 10, in_chans: int = 3):
        super().__init__()
        self.num_classes = num_classes
        self.conv1 = nn.Conv2d(in_chans, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.act1 = nn.ReLU()
        self.layer1 = stage(16, 16, blocks, stride=1)
        self.layer2 = stage(16, 32, blocks, stride=2)
        self.layer3 = stage(32, 64, blocks, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.bn1(self.conv1(x)))  # (B, 16, H, W)
        x = self.layer1(x)  # (B, 16, H, W)
        x = self.layer2(x)  # (B, 32, H/2, W/2)
        x = self.layer3(x)  # (B, 64, H/4, W/4)
        return self.linear(self.pool(x).flatten(1))  # (B, num_classes)


def stage(channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    """`blocks` blocks of one width; the first has the stride."""
    first = Block(channels, width, stride)
    return nn.Sequential(first, *(Block(width, width) for _ in range(blocks - 1)))


class Block(nn.Module):
    """Two 3x3 convolutions and the shortcut around them; (B, C, H, W) -> (B, width, H/s, W/s)."""

    def __init__(self, channels: int, width: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Identity() if stride == 1 else PaddedShortcut(width - channels)
        self.act2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        branch = self.act1(self.bn1(self.conv1(x)))
        branch = self.bn2(self.conv2(branch))
        return self.act2(branch + self.shortcut(x))


class PaddedShortcut(nn.Module):
    """Option A: every other pixel, and zeros for the new channels, half before and half after."""

    def __init__(self, extra: int):
        super().__init__()
        self.extra = extra

    def forward(self, x: Tensor) -> Tensor:
        half = self.extra // 2
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, half, self.extra - half))
