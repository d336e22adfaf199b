"""Which pixels a value can depend on, of nets whose boxes are known."""

import pytest
import timm
import torch
import torchvision
from torch import nn

import vitprobe
from vitprobe.taps import as_found
from vitprobe.taps.theoretical_box import Box, theoretical_box


def box_of(model, size, module, place=None):
    """The box of a module's map (n, C, H, W)."""
    found = []

    def hook(_, __, x):
        where = place or (x.shape[2] // 2, x.shape[3] // 2)
        found.append(theoretical_box(x, where, (2, 3)))

    with as_found(model):
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        handle = model.get_submodule(module).register_forward_hook(hook)
        model(torch.rand(2, 3, *size, requires_grad=True).clone())
        handle.remove()
    return found[0]


@pytest.mark.parametrize(
    ("name", "module", "side"),
    [
        ("resnet18", "layer1.0", 27),
        ("resnet18", "layer4.1", 435),
        ("resnet34", "layer4.2", 899),
        ("resnet50", "layer4.2", 427),
    ],
)
def test_boxes_of_torchvision(name, module, side):
    box = box_of(getattr(torchvision.models, name)(), (64, 64), module)
    assert box.side == side
    assert box.point == ((32.0, 32.0))
    assert box.covers(64, 64) == (side > 65)


def test_resnet20_for_cifar():
    model = vitprobe.load_model("resnet20")
    sides = [7, 11, 15, 21, 29, 37, 49, 65, 81]
    names = [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in range(3)]
    assert [box_of(model, (32, 32), name).side for name in names] == sides


def touched(model, size, place):
    """First and last row and column that a value depends on, by changing each pixel: weights and
    images are positive, so that nothing cancels."""
    x = torch.rand(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        before = model(x)[0, 0][place]
        rows, columns = [], []
        for row in range(size[0]):
            for column in range(size[1]):
                changed = x.clone()
                changed[..., row, column] += 1e9  # it is the largest of any maximum
                if model(changed)[0, 0][place] != before:
                    rows.append(row)
                    columns.append(column)
    return Box(min(rows), max(rows), min(columns), max(columns))


class Everything(nn.Module):
    """Whatever moves, widens or shrinks a window."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 2, (3, 5), stride=(1, 2), padding=(1, 0))
        self.wide = nn.Conv2d(2, 2, 2, dilation=3, padding="same")
        self.norm = nn.LayerNorm(2)
        self.down = nn.Conv2d(2, 2, 1, stride=2)

    def forward(self, x):
        x = self.first(x).relu_()
        x = x + nn.functional.pad(self.wide(x), (1, 0, 0, 1))[:, :, :-1, :-1]
        x = nn.functional.max_pool2d(x, 2, 1)
        return self.down(x) + nn.functional.avg_pool2d(x, 3, 2, padding=1)


def test_a_window_is_what_a_changed_pixel_shows():
    torch.manual_seed(0)
    model = Everything().double()
    for parameter in model.parameters():
        parameter.data = parameter.data.abs() + 0.1
    size, place = (18, 26), (4, 3)
    assert box_of(model.float(), size, "", place) == touched(model.double(), size, place)


def test_slices_with_steps_and_axes_that_move():
    class Model(nn.Module):
        def forward(self, x):
            x = x.permute(0, 2, 3, 1)[:, 1::2]  # rows 1, 3, ...
            return nn.functional.pad(x, (0, 0, 2, 0)).permute(0, 3, 1, 2)  # two columns before

    assert box_of(Model(), (12, 8), "", (2, 5)) == Box(5, 5, 3, 3)


@pytest.mark.parametrize(
    ("model", "module", "why"),
    [
        (lambda: timm.create_model("seresnet18"), "layer1.0", "squeeze-and-excitation"),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.GroupNorm(2, 4)), "1", "group norm"),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.InstanceNorm2d(4)), "1", "normalisation"),
        (lambda: nn.Upsample(scale_factor=2), "", "interpolation"),
        (lambda: nn.ConvTranspose2d(3, 4, 2, 2), "", "transposed"),
        (lambda: nn.PixelShuffle(1), "", "PixelShuffle"),
        (lambda: nn.Threshold(0, 0).requires_grad_(), "", None),
    ],
)
def test_what_has_no_box_says_why(model, module, why):
    found = box_of(model(), (32, 32), module)
    assert (found == Box(16, 16, 16, 16)) if why is None else why in found


def test_what_does_not_depend_on_the_image():
    assert "does not depend" in theoretical_box(torch.ones(1, 1, 2, 2), (0, 0), (2, 3))
