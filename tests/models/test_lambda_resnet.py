"""Lambda layers against the paper's equations, one pixel and one head at a time."""

import pytest
import torch
from torch import nn

from vitprobe.models import load_model
from vitprobe.models.lambda_resnet import Bottleneck, LambdaLayer, LambdaResNet
from vitprobe.taps.attention import attention_sites


def slow_lambda_layer(layer, x):
    """y_n = (K^T V + E_n^T V)^T q_n of every head, in float64 and in loops (eval mode)."""
    layer = layer.double()
    x = x.double()
    channels, height, width = x.shape[1:]
    weight = layer.to_qkv.weight[:, :, 0, 0]
    kernel, bias = layer.position.weight[:, 0, 0], layer.position.bias
    out = torch.zeros_like(x)
    for b in range(len(x)):
        pixels = x[b].reshape(channels, -1)
        projected = weight @ pixels  # (64 + 16 + C/4, N)
        q, k, v = projected.split([64, 16, channels // 4])
        q = normed(layer.norm_q, q)
        v = normed(layer.norm_v, v).reshape(-1, height, width)
        k = torch.exp(k) / torch.exp(k).sum(dim=1, keepdim=True)
        content = k @ v.reshape(len(v), -1).T  # (16, C/4)
        for y in range(height):
            for z in range(width):
                position = bias[:, None].expand(16, len(v)).clone()
                for dy in range(-11, 12):
                    for dz in range(-11, 12):
                        if 0 <= y + dy < height and 0 <= z + dz < width:
                            near = v[:, y + dy, z + dz]
                            position += kernel[:, dy + 11, dz + 11, None] * near
                for head in range(4):
                    query = q[16 * head : 16 * head + 16, y * width + z]
                    answer = (content + position).T @ query
                    out[b, head * len(v) : (head + 1) * len(v), y, z] = answer
    return out


def normed(norm, x):
    """Batch norm of (C, N) by its running statistics."""
    mean, spread = norm.running_mean[:, None], (norm.running_var[:, None] + norm.eps).sqrt()
    return (x - mean) / spread * norm.weight[:, None] + norm.bias[:, None]


@torch.no_grad()
def test_a_lambda_layer_is_the_paper_s():
    torch.manual_seed(0)
    layer = LambdaLayer(24).eval()
    for norm in (layer.norm_q, layer.norm_v):
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.normal_()
        norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 24, 5, 13)  # wider than half the field
    fast = layer(x)
    torch.testing.assert_close(fast.double(), slow_lambda_layer(layer, x), rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("stride", "project"), [(1, False), (1, True), (2, True)])
def test_a_block_is_relu_of_branch_plus_shortcut(stride, project):
    torch.manual_seed(0)
    block = Bottleneck(64, 16, stride, project).eval()
    x = torch.randn(2, 64, 7, 6)
    branch = block.conv2(torch.relu(block.bn1(block.conv1(x))))
    if stride == 2:
        branch = nn.functional.avg_pool2d(branch, 3, 2, 1)
    branch = block.bn3(block.conv3(torch.relu(block.bn2(branch))))
    shortcut = block.shortcut(x) if project else x
    assert isinstance(block.shortcut, nn.Identity) != project
    expected = torch.relu(branch + shortcut)
    assert torch.equal(block(x), expected)
    assert expected.shape[2:] == ((4, 3) if stride == 2 else (7, 6))


def test_every_3x3_convolution_but_the_stem_is_gone():
    model = load_model("lambda_resnet38")
    kernels = [m.kernel_size for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert kernels.count((3, 3)) == 1 and set(kernels) == {(1, 1), (3, 3)}
    assert [len(getattr(model, f"layer{i}")) for i in (1, 2, 3, 4)] == [2, 3, 5, 2]
    assert sum(isinstance(m, LambdaLayer) for m in model.modules()) == 12
    assert all(m.bias is None for m in model.modules() if isinstance(m, nn.Conv2d))


def test_it_trains_and_takes_images_of_other_sizes():
    model = LambdaResNet((1, 1, 1, 1), num_classes=3).train()
    loss = nn.functional.cross_entropy(model(torch.randn(2, 3, 9, 6)), torch.tensor([0, 2]))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_nothing_in_it_is_taken_for_attention_of_tokens():
    """At 32 px the last stage has 16 keys for 16 pixels, square like attention weights."""
    assert attention_sites(LambdaResNet((1, 1, 1, 1)), torch.randn(1, 3, 32, 32)) == []
