"""Models of a user's own: `user_training_models:NAME`."""

from timm.models.vision_transformer import VisionTransformer
from torch import nn


class Plain(nn.Module):
    """A CNN without batch norm, with weights that its output does not depend on."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.unused = nn.Linear(7, 7)
        self.convolution = nn.Conv2d(3, 8, 5, stride=3)
        self.classifier = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.classifier(self.convolution(x).tanh().mean((2, 3)))


class Normed(nn.Module):
    """A CNN with batch norm."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 5, stride=3), nn.BatchNorm2d(8), nn.ReLU())
        self.classifier = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.classifier(self.body(x).mean((2, 3)))


def double_plain(num_classes=10):
    return Plain(num_classes).double()


def double_vit(num_classes=10, image_size=32):
    size = {"img_size": image_size, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
    return VisionTransformer(**size, num_classes=num_classes).double()
