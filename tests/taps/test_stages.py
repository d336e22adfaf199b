"""What stands for blocks in models that list none, counted by hand."""

import pytest
import timm
import torch
import torchvision
from torch import nn

import vitprobe
from vitprobe.errors import InputError, VitprobeWarning
from vitprobe.taps import select, survey


def from_torchvision(name, **options):
    return lambda: getattr(torchvision.models, name)(weights=None, **options)


def from_timm(name):
    return lambda: timm.create_model(name, pretrained=False)


def zeros(build):
    """The model with weights of 0, which take no time to draw."""
    with torch.device("meta"):
        model = build()
    model = model.to_empty(device="cpu").eval()
    for value in (*model.parameters(), *model.buffers()):
        value.data.zero_()
    return model


VGG11 = [f"features.{end}" for end in (2, 5, 7, 10, 12, 15, 17, 20)]  # a pooling, or a ReLU
MIXED_AT = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
INCEPTION = [f"inception{name}" for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")]
MIXED = [f"Mixed_{name}" for name in MIXED_AT]
REGNET = [f"s{s}.b{b}" for s, depth in enumerate((1, 1, 4, 7), 1) for b in range(1, depth + 1)]

COUNTED = {
    "vgg": (from_torchvision("vgg11"), 32, [*VGG11, "classifier.1", "classifier.4"]),
    "timm vgg": (from_timm("vgg11"), 32, [*VGG11, "pre_logits.act1", "pre_logits.act2"]),
    "alexnet": (
        from_torchvision("alexnet"),
        96,
        [*(f"features.{i}" for i in (2, 5, 7, 9, 12)), "classifier.2", "classifier.5"],
    ),
    "googlenet": (from_torchvision("googlenet", init_weights=False), 64, INCEPTION),
    "inception": (from_torchvision("inception_v3", init_weights=False), 96, MIXED),
    "regnet": (from_timm("regnetx_002"), 64, REGNET),
    "dla": (
        from_timm("dla34"),
        64,
        [f"level{level}.tree{tree}" for level in (2, 3, 4, 5) for tree in (1, 2)],
    ),
    "convmixer": (from_timm("convmixer_768_32"), 32, [f"blocks.{i}" for i in range(32)]),
}


@pytest.mark.parametrize("name", COUNTED)
def test_which_modules_stand_for_blocks(name):
    build, size, expected = COUNTED[name]
    table = survey(zeros(build), torch.randn(4, 3, size, size))
    chosen = select(table, "blocks")
    assert [site.name for site in chosen.sites] == [*expected, "output"]
    assert f"the model lists no blocks: {len(expected)} " in chosen.note
    assert f"({expected[0]} ... {expected[-1]})" in chosen.note
    assert select(table, "all").note == ""


def test_a_model_with_blocks_keeps_them():
    table = survey(zeros(from_torchvision("squeezenet1_1")), torch.randn(4, 3, 64, 64))
    chosen = select(table, "blocks")
    fire = [f"features.{i}" for i in (3, 4, 6, 7, 9, 10, 11, 12)]
    assert [site.name for site in chosen.sites] == [*fire, "output"] and chosen.note == ""


class Small(nn.Module):
    """A tutorial's network: activations are functions, one pooling is used twice."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3)
        self.pool = nn.MaxPool2d(2)
        self.fc1, self.fc2 = nn.Linear(288, 20), nn.Linear(20, 5)

    def forward(self, x):
        x = self.pool(self.conv1(x).relu())
        x = self.pool(self.conv2(x).relu())
        return self.fc2(self.fc1(x.flatten(1)).relu())


def test_a_small_network_has_its_layers():
    torch.manual_seed(0)
    chosen = select(survey(Small(), torch.randn(4, 3, 32, 32)), "blocks")
    assert [site.name for site in chosen.sites] == ["pool", "pool#2", "fc1", "output"]


def test_one_layer_is_no_list_of_blocks():
    table = survey(nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), torch.randn(4, 3, 2, 2))
    with pytest.raises(InputError, match="no blocks found"):
        select(table, "blocks")


def test_the_result_says_so():
    torch.manual_seed(0)
    images = torch.randn(12, 3, 32, 32)
    with pytest.warns(VitprobeWarning, match="Small: the model lists no blocks: 3 layers"):
        result = vitprobe.cka(Small(), data=images, layers="blocks", batch_size=6)
    assert "the model lists no blocks" in result.attrs["notes"]
    assert result["block_a"].values.tolist() == ["pool", "pool", "fc1", ""]
    with pytest.warns(VitprobeWarning):
        everything = vitprobe.cka(Small(), data=images, batch_size=6)
    assert "no blocks" not in everything.attrs["notes"]
