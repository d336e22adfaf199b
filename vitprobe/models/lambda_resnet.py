"""ResNets whose 3x3 convolutions are lambda layers (Bello 2021, arXiv 2102.08602)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LAYOUTS = {26: (2, 2, 2, 2), 38: (2, 3, 5, 2), 50: (3, 4, 6, 3)}
WIDTHS = (64, 128, 256, 512)
EXPANSION = 4
HEADS, KEY_DIM, FIELD = 4, 16, 23  # the paper's |h|, |k| and r; its |u| is 1


def lambda_resnet(depth: int, num_classes: int = 10, image_size: int = 32) -> nn.Module:
    """Lambda-ResNet of 26, 38 or 50 layers; it takes any image size. See `LambdaResNet`."""
    return LambdaResNet(LAYOUTS[depth], num_classes)


class LambdaResNet(nn.Module):
    """A 3x3 stem at the image's resolution and four stages of bottlenecks with lambda layers.

    Images (B, 3, H, W) -> logits (B, num_classes). With 100 classes 8,274,020, 10,148,516 and
    13,144,068 parameters for 26, 38 and 50 layers.
    """

    def __init__(self, blocks: tuple[int, int, int, int], num_classes: int = 10):
        super().__init__()
        self.num_classes = num_classes
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.act1 = nn.ReLU()
        self.layer1 = stage(64, WIDTHS[0], blocks[0], stride=1)
        self.layer2 = stage(WIDTHS[0] * EXPANSION, WIDTHS[1], blocks[1], stride=2)
        self.layer3 = stage(WIDTHS[1] * EXPANSION, WIDTHS[2], blocks[2], stride=2)
        self.layer4 = stage(WIDTHS[2] * EXPANSION, WIDTHS[3], blocks[3], stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(WIDTHS[3] * EXPANSION, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.bn1(self.conv1(x)))  # (B, 64, H, W)
        x = self.layer1(x)  # (B, 256, H, W)
        x = self.layer2(x)  # (B, 512, H/2, W/2)
        x = self.layer3(x)  # (B, 1024, H/4, W/4)
        x = self.layer4(x)  # (B, 2048, H/8, W/8)
        return self.fc(self.pool(x).flatten(1))  # (B, num_classes)


def stage(channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    """`blocks` bottlenecks of one width; the first has the stride and a projection shortcut."""
    first = Bottleneck(channels, width, stride, project=True)
    return nn.Sequential(first, *(Bottleneck(width * EXPANSION, width) for _ in range(blocks - 1)))


class Bottleneck(nn.Module):
    """1x1 convolution, lambda layer, 1x1 convolution, and the shortcut around them.

    (B, C, H, W) -> (B, 4 width, H/s, W/s); the stride s, 1 or 2, is average pooling after the
    lambda layer.
    """

    def __init__(self, channels: int, width: int, stride: int = 1, project: bool = False):
        super().__init__()
        out = width * EXPANSION
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.ReLU()
        self.conv2 = LambdaLayer(width)
        self.pool = nn.Identity() if stride == 1 else nn.AvgPool2d(3, stride, padding=1)
        self.bn2 = nn.BatchNorm2d(width)
        self.act2 = nn.ReLU()
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.shortcut = nn.Identity()
        if project:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )
        self.act3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        branch = self.act1(self.bn1(self.conv1(x)))  # (B, width, H, W)
        branch = self.act2(self.bn2(self.pool(self.conv2(branch))))  # (B, width, H/s, W/s)
        branch = self.bn3(self.conv3(branch))  # (B, 4 width, H/s, W/s)
        return self.act3(branch + self.shortcut(x))


class LambdaLayer(nn.Module):
    """Each pixel's query is applied to a linear map made of its surroundings; (B, C, H, W) both.

    The map, a lambda, is the content's, one for all pixels (keys, softmaxed over the pixels, times
    values), plus the position's: values weighted by where they lie in the 23 x 23 pixels around.
    Heads share keys and values; each has a quarter of the channels.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.sizes = (HEADS * KEY_DIM, KEY_DIM, channels // HEADS)
        self.to_qkv = nn.Conv2d(channels, sum(self.sizes), 1, bias=False)
        self.norm_q = nn.BatchNorm2d(HEADS * KEY_DIM)
        self.norm_v = nn.BatchNorm2d(channels // HEADS)
        # One kernel for each key dimension, moved over the pixels of every channel of the values.
        self.position = nn.Conv3d(
            1, KEY_DIM, (1, FIELD, FIELD), padding=(0, FIELD // 2, FIELD // 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.to_qkv(x).split(self.sizes, dim=1)
        q = self.norm_q(q).unflatten(1, (HEADS, KEY_DIM)).flatten(3)  # (B, h, k, N), N = H W
        k = k.flatten(2).transpose(1, 2).softmax(dim=1)  # (B, N, k), over the pixels
        v = self.norm_v(v)  # (B, v, H, W)
        content = v.flatten(2) @ k  # (B, v, k)
        position = self.position(v[:, None]).flatten(3)  # (B, k, v, N)
        y = torch.einsum("bhkn,bvk->bhvn", q, content)
        y = y + torch.einsum("bhkn,bkvn->bhvn", q, position)
        return y.flatten(1, 2).unflatten(2, x.shape[2:])  # (B, h v = C, H, W)
