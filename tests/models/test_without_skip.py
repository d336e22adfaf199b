"""A model without the skips of one block: exactly its branches, in every copy, told by its file."""

import copy

import pytest
import torch
from torch import nn

from vitprobe.errors import InputError
from vitprobe.models import load_model
from vitprobe.models.without_skip import remove_skip

SMALL = "vit(dim=16,depth=3,heads=2,mlp_dim=32,patch_size=8)"


@pytest.fixture
def images():
    return torch.randn(3, 3, 32, 32, generator=torch.manual_seed(1))


def by_hand(model, block):
    """The ViT's block as its two branches, one after the other."""
    model = copy.deepcopy(model)
    part = model.blocks[block]
    part.forward = lambda x: part.mlp(part.norm2(part.attn(part.norm1(x))))
    return model


@torch.no_grad()
@pytest.mark.parametrize("block", [0, 2])
def test_a_transformer_block_without_skips_is_its_branches(images, block):
    intact = load_model(SMALL)
    cut = load_model(f"{SMALL[:-1]},remove_skip={block})")
    assert torch.equal(cut(images), by_hand(intact, block)(images))
    assert not torch.allclose(cut(images), intact(images))


@torch.no_grad()
@pytest.mark.parametrize("block", [1, 3])  # 3 halves the map: its shortcut is no identity
def test_a_residual_block_without_skips_is_its_convolutions(images, block):
    intact, cut = load_model("resnet20"), load_model(f"resnet20(remove_skip={block})")
    path = [f"layer{stage}.{k}" for stage in (1, 2, 3) for k in range(3)][block]
    part, seen = intact.get_submodule(path), {}
    intact.get_submodule(path).register_forward_pre_hook(lambda m, args: seen.update(x=args[0]))
    intact(images)
    x = torch.relu(part.bn1(part.conv1(seen["x"])))
    expected = torch.relu(part.bn2(part.conv2(x)))
    found = {}
    cut.get_submodule(path).register_forward_hook(lambda m, args, y: found.update(y=y))
    cut(images)
    assert torch.equal(found["y"], expected)


def test_in_place_sums_are_replaced_too(images):
    intact = load_model("resnet18")
    cut = copy.deepcopy(intact)
    assert remove_skip(cut, 2, images) == "layer2.0"
    found = {}
    for name, model in (("intact", intact), ("cut", cut)):
        model.layer2[0].register_forward_hook(lambda m, a, y, name=name: found.update({name: y}))
        model.layer2[0].bn2.register_forward_hook(
            lambda m, a, y, name=name: found.update({f"{name} f": y.clone()})
        )
        model(images)
    assert torch.equal(found["cut"], found["intact f"].relu())
    assert not torch.equal(found["intact"], found["intact f"].relu())


def test_weights_names_and_class_stay_and_copies_have_no_skip_either(images):
    intact, cut = load_model(SMALL), load_model(f"{SMALL[:-1]},remove_skip=1)")
    assert type(cut.blocks[1]).__name__ == type(intact.blocks[1]).__name__
    assert isinstance(cut.blocks[1], type(intact.blocks[1]))
    for (name, weight), (other, same) in zip(
        intact.state_dict().items(), cut.state_dict().items(), strict=True
    ):
        assert name == other and torch.equal(weight, same)
    assert torch.equal(copy.deepcopy(cut)(images), cut(images))


def test_gradients_go_through_the_branches_alone(images):
    cut = load_model(f"{SMALL[:-1]},remove_skip=1)").train()
    nn.init.zeros_(cut.blocks[1].mlp.fc2.weight)
    cut(images).sum().backward()
    assert cut.blocks[1].mlp.fc2.weight.grad.abs().sum() > 0
    assert cut.blocks[0].mlp.fc2.weight.grad.abs().sum() == 0  # there is no other way back


def test_given_weights_are_used_without_a_skip():
    intact, cut = load_model("vit@digits"), load_model("vit(remove_skip=3)@digits")
    assert cut.provenance["weights_sha256"] == intact.provenance["weights_sha256"]
    assert cut.provenance["architecture"]["remove_skip"] == 3
    assert "without the skips of block 3 (blocks.3)" in cut.provenance["note"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (f"{SMALL[:-1]},remove_skip=3)", r"has 3 blocks, 0 \(blocks.0\) to 2 \(blocks.2\)"),
        ("vit(remove_skip=-1)", "number of a block, 0 or more, got -1"),
        ("vit(remove_skip='x')", "number of a block, 0 or more, got 'x'"),
        ("vgg11(remove_skip=0)", "no blocks found"),
    ],
)
def test_what_cannot_be_taken_out_is_said(spec, said):
    with pytest.raises(InputError, match=said):
        load_model(spec)


def test_blocks_without_a_skip_are_said(images):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.two(self.one(x))

    with pytest.raises(InputError, match="no skip was found in 0"):
        remove_skip(nn.Sequential(Block(), Block()), 0, images)
