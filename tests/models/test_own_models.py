"""Our own names: sizes, stems, random streams, provenance."""

import pytest
import torch
from torch import nn

from vitprobe.errors import InputError
from vitprobe.models import build_model, load_model
from vitprobe.models.resnet_cifar import Block, PaddedShortcut, resnet_cifar
from vitprobe.models.zoo import OWN

# He's paper, table 6, gives 0.27, 0.46, 0.66 and 0.85 M for the CIFAR nets.
COUNTS = {
    ("vit", 10): 1_205_898,
    ("vit-zhu2023", 10): 1_199_306,
    ("lambda_resnet26", 100): 8_274_020,
    ("lambda_resnet38", 100): 10_148_516,
    ("lambda_resnet50", 100): 13_144_068,
    ("resnet18", 10): 11_173_962,
    ("resnet18", 100): 11_220_132,
    ("resnet34", 100): 21_328_292,
    ("resnet50", 100): 23_705_252,
    ("resnet20", 10): 269_722,
    ("resnet32", 10): 464_154,
    ("resnet44", 10): 658_586,
    ("resnet56", 10): 853_018,
}


def shapes_only(name, **options):
    with torch.device("meta"):
        return OWN[name](**options)


@pytest.mark.parametrize(("name", "classes"), COUNTS)
def test_parameter_counts(name, classes):
    model = shapes_only(name, num_classes=classes)
    assert sum(weight.numel() for weight in model.parameters()) == COUNTS[name, classes]


def test_imagenet_resnets_have_their_known_counts():
    for name, count in {"resnet18": 11_689_512, "resnet101": 44_549_160}.items():
        model = shapes_only(name, num_classes=1000, image_size=224)
        assert sum(weight.numel() for weight in model.parameters()) == count


@pytest.mark.parametrize(("size", "kernel", "grid"), [(32, 3, 32), (64, 3, 64), (65, 7, 17)])
def test_the_stem_follows_the_image_size(size, kernel, grid):
    model = load_model("resnet18", image_size=size)
    assert model.conv1.kernel_size == (kernel, kernel)
    seen = []
    model.layer1.register_forward_hook(lambda *call: seen.append(call[2].shape))
    model(torch.randn(1, 3, size, size))
    assert seen[0][2:] == (grid, grid)


def test_no_block_of_a_random_resnet_is_dead():
    """A residual branch that starts at zero would have nothing to compare."""
    model = load_model("resnet18")
    spread = {}
    for name, module in model.named_modules():
        if name.endswith("bn2"):
            module.register_forward_hook(
                lambda *call, name=name: spread.update({name: call[2].std().item()})
            )
    model(torch.randn(4, 3, 32, 32))
    assert len(spread) == 8 and min(spread.values()) > 0.01


def test_vit_has_the_documented_size():
    model = load_model("vit")
    assert model.patch_embed.grid_size == (8, 8)
    assert (len(model.blocks), model.embed_dim, model.blocks[0].attn.num_heads) == (6, 128, 4)
    assert model.blocks[0].mlp.fc1.out_features == 512
    assert load_model("vit", image_size=28).patch_embed.grid_size == (7, 7)


@pytest.mark.parametrize("size", [30, 3])
def test_a_vit_refuses_an_image_that_patches_do_not_fill(size):
    with pytest.raises(InputError, match=rf"patches of 4 px.* {size} x {size} px"):
        load_model("vit", image_size=size)


def test_option_a_shortcut_is_he_s():
    x = torch.arange(2 * 2 * 4 * 4.0).reshape(2, 2, 4, 4)
    y = PaddedShortcut(extra=2)(x)
    assert torch.equal(y[:, 1:3], x[:, :, ::2, ::2])
    assert y.shape == (2, 4, 2, 2) and not y[:, [0, 3]].any()


def test_a_cifar_block_is_relu_of_branch_plus_shortcut():
    torch.manual_seed(0)
    block = Block(16, 32, stride=2).eval()
    x = torch.randn(2, 16, 8, 8)
    branch = block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x)))))
    padded = torch.cat([torch.zeros(2, 8, 4, 4), x[:, :, ::2, ::2], torch.zeros(2, 8, 4, 4)], 1)
    assert torch.equal(block(x), torch.relu(branch + padded))


@pytest.mark.parametrize("depth", [20, 32, 44, 56])
def test_cifar_depth_counts_the_layers_with_weights(depth):
    layers = [m for m in resnet_cifar(depth).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == depth


@pytest.mark.parametrize("name", ["vit", "resnet20"])
def test_a_seed_fixes_the_weights_and_leaves_torch_s_own_alone(name):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = load_model(name, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(10)
    again, other = load_model(name, seed=3), load_model(name, seed=4)
    assert all(map(torch.equal, first.state_dict().values(), again.state_dict().values()))
    assert first.provenance["weights_sha256"] == again.provenance["weights_sha256"]
    assert first.provenance["weights_sha256"] != other.provenance["weights_sha256"]


def test_models_have_their_own_random_streams():
    a, b = load_model("resnet20").conv1.weight, load_model("resnet32").conv1.weight
    assert a.shape == b.shape and not torch.allclose(a, b)


def test_the_default_device_does_not_matter():
    with torch.device("meta"):
        model = load_model("resnet20")
    assert {value.device.type for value in model.state_dict().values()} == {"cpu"}
    assert model.provenance == load_model("resnet20").provenance


def test_provenance_and_transform():
    model = load_model("vit", num_classes=7, image_size=16, seed=5)
    said = model.provenance
    assert not model.training
    assert said["parameters"] == sum(weight.numel() for weight in model.parameters())
    assert {key: said[key] for key in ("spec", "name", "weights", "num_classes", "image_size")} == {
        "spec": "vit@random",
        "name": "vit",
        "weights": "random",
        "num_classes": 7,
        "image_size": 16,
    }
    assert said["note"] == "vit: random weights (seed 5); for trained ones use vit@FILE"
    assert "resnet18@pretrained or resnet18@FILE" in load_model("resnet18").provenance["note"]
    assert model.transform.image_size == (16, 16)
    assert model.transform.mean is None and model.transform.std is None
    assert load_model("resnet20").transform.mean == (0.485, 0.456, 0.406)


def test_the_data_s_size_is_a_wish_of_our_own_names_only():
    assert build_model("vit", fallback_image_size=28).provenance["image_size"] == 28
    model = build_model("vit", fallback_image_size=28, image_size=16)
    assert model.provenance["image_size"] == 16
    assert build_model("test_vit", fallback_image_size=28).provenance["image_size"] == 160
    model = build_model("torchvision:squeezenet1_1", fallback_image_size=28)
    assert model.provenance["image_size"] == 224


@pytest.mark.parametrize("options", [{"num_classes": 0}, {"image_size": -32}, {"image_size": 3.5}])
def test_sizes_must_be_positive_whole_numbers(options):
    with pytest.raises(InputError, match="must be a whole number of at least 1"):
        load_model("vit", **options)
