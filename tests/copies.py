"""Models whose tokens are patches of the image, as they are or in another order."""

import torch
from torch import nn


def pixels(count=100, height=32, width=32, seed=0):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


class Copies(nn.Module):
    """Each token is a patch of 8 px, or where `order` is given another one; `cls` in front."""

    def __init__(self, order=None, cls=False):
        super().__init__()
        self.embed = nn.Conv2d(3, 192, 8, 8, bias=False)
        self.embed.weight.data = torch.eye(192).reshape(192, 3, 8, 8)
        self.order = order
        if cls:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, 192))
        self.blocks = nn.ModuleList([nn.Identity()])

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        if self.order is not None:
            x = x[:, self.order]
        if hasattr(self, "cls_token"):
            x = torch.cat([x.mean(1, keepdim=True) + self.cls_token, x], 1)
        return self.blocks[0](x).mean(1)


def patch_of(images, row, col, side=8):
    return images[:, :, row * side : (row + 1) * side, col * side : (col + 1) * side]


def unfolded(result, name="cka"):
    """(tokens, patches), row by row."""
    values = result[name].transpose("token_row", "token_col", "row", "col").values
    return values.reshape(values.shape[0] * values.shape[1], -1)
