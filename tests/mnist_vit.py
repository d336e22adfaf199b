"""The trained model of `mnist_vit.pth` and the images it was trained for."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class MnistViT(nn.Module):
    """One post-norm block, one head, no class token; patches are unfolded, not convolved."""

    def __init__(self):
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, 16, 32))
        self.patch_embed = nn.ModuleDict({"proj": nn.Linear(49, 32)})
        block = {
            "attn": nn.MultiheadAttention(32, 1, batch_first=True),
            "ffn": nn.ModuleDict({"fc1": nn.Linear(32, 64), "fc2": nn.Linear(64, 32)}),
            "norm1": nn.LayerNorm(32),
            "norm2": nn.LayerNorm(32),
        }
        self.encoder = nn.ModuleList([nn.ModuleDict(block)])
        self.norm, self.classifier = nn.LayerNorm(32), nn.Linear(32, 10)

    def tokens(self, x):
        """What the attention sees, (n, 16, 32)."""
        x = functional.unfold(x, 7, stride=7).transpose(1, 2)
        return self.patch_embed["proj"](x) + self.pos_embed

    def forward(self, x):
        x = self.tokens(x)
        block = self.encoder[0]
        x = block["norm1"](x + block["attn"](x, x, x)[0])
        hidden = functional.gelu(block["ffn"]["fc1"](x))
        x = block["norm2"](x + block["ffn"]["fc2"](hidden))
        return self.classifier(self.norm(x).mean(1))


def trained(real_data):
    """The model with its weights, and 3,000 normalised images (n, 1, 28, 28) with their labels."""
    model = MnistViT().eval()
    model.load_state_dict(torch.load(real_data / "mnist_vit.pth", weights_only=True))
    mnist = np.load(real_data / "mnist-test3000.npz")
    images = torch.from_numpy(mnist["images"]).permute(0, 3, 1, 2).float() / 255
    return model, (images - 0.1307) / 0.3081, mnist["labels"]
