"""What a checkpoint says about its model, and what happens when it does not fit."""

import numpy as np
import pytest
import timm
import torch
import torchvision

from vitprobe.errors import InputError
from vitprobe.models import build_model, load_model


def saved(folder, spec, wrap=None, prefix="", **options):
    """A trained-looking checkpoint of a model; (its path, the model)."""
    model = load_model(spec, seed=11, **options)
    state = {prefix + key: value for key, value in model.state_dict().items()}
    path = folder / "w.pth"
    torch.save(state if wrap is None else {wrap: state}, path)
    return path, model


def outputs_agree(a, b):
    torch.manual_seed(0)
    x = torch.randn(2, 3, *a.transform.image_size)
    with torch.no_grad():
        return torch.equal(a(x), b(x))


@pytest.mark.parametrize(
    ("spec", "classes", "size"),
    [
        ("vit", 7, 48),
        ("resnet18", 100, 32),
        ("resnet20", 3, 32),
        ("test_vit", 5, 96),
        ("test_vit4", 5, 160),  # register tokens
        ("torchvision:squeezenet1_1", 4, 224),  # its classifier is a convolution
    ],
)
def test_classes_and_size_come_from_the_weights(tmp_path, spec, classes, size):
    path, model = saved(tmp_path, spec, "model", "module.", num_classes=classes, image_size=size)
    loaded = load_model(f"{spec}@{path}")
    assert (loaded.provenance["num_classes"], loaded.provenance["image_size"]) == (classes, size)
    assert loaded.transform.image_size == (size, size)
    assert outputs_agree(loaded, model)


def test_size_of_a_torchvision_vit(tmp_path):
    sizes = {"num_layers": 1, "num_heads": 1, "hidden_dim": 64, "mlp_dim": 32}
    first = torchvision.models.VisionTransformer(144, 16, **sizes).eval()
    torch.save(first.state_dict(), tmp_path / "w.pth")
    model = load_model(f"torchvision:vit_b_16@{tmp_path / 'w.pth'}")
    assert model.provenance["image_size"] == 144 and model.provenance["inferred"] == sizes
    x = torch.randn(2, 3, 144, 144)
    with torch.no_grad():
        assert torch.equal(model(x), first(x))
    larger = load_model(f"torchvision:vit_b_16@{tmp_path / 'w.pth'}", image_size=224)
    assert "positions interpolated from 144 to 224 px" in larger.provenance["note"]
    assert larger(torch.randn(1, 3, 224, 224)).shape == (1, 1000)


def test_the_weights_win_over_the_data_s_size(tmp_path):
    path, _ = saved(tmp_path, "vit", image_size=16)
    assert build_model(f"vit@{path}", fallback_image_size=32).provenance["image_size"] == 16
    path, _ = saved(tmp_path, "resnet18")
    for wish, size in {64: 64, 224: 32}.items():
        loaded = build_model(f"resnet18@{path}", fallback_image_size=wish)
        assert loaded.provenance["image_size"] == size
    path, _ = saved(tmp_path, "resnet18", image_size=224)
    for wish, size in {32: 224, 128: 128}.items():
        loaded = build_model(f"resnet18@{path}", fallback_image_size=wish)
        assert loaded.provenance["image_size"] == size
        assert loaded.conv1.kernel_size == (7, 7)


def test_a_wrong_class_count_names_both_numbers_and_the_keys(tmp_path):
    path, _ = saved(tmp_path, "resnet18")
    with pytest.raises(InputError, match=r"with 10 classes \(fc.weight \(10, 512\), fc.bias.*100"):
        load_model(f"resnet18@{path}", num_classes=100)
    assert load_model(f"resnet18@{path}", num_classes=10).provenance["num_classes"] == 10


def test_a_wrong_image_size_names_both_numbers_and_the_key(tmp_path):
    path, _ = saved(tmp_path, "resnet18")
    with pytest.raises(InputError, match=r"at most 64 px \(conv1.weight \(64, 3, 3, 3\)\), but"):
        load_model(f"resnet18@{path}", image_size=224)
    path, _ = saved(tmp_path, "resnet18", image_size=224)
    with pytest.raises(InputError, match=r"65 or more px \(conv1.weight \(64, 3, 7, 7\)\), but 64"):
        load_model(f"resnet18@{path}", image_size=64)


def test_another_model_s_keys_are_counted_and_named(tmp_path):
    path, _ = saved(tmp_path, "resnet20")
    with pytest.raises(
        InputError,
        match=r"does not fit resnet32: .* 60 are missing \(layer1.3.conv1.weight.* and 0 of",
    ):
        load_model(f"resnet32@{path}")
    with pytest.raises(InputError, match=r"of the model's 80 .*\(cls_token.*unexpected \(conv1"):
        load_model(f"vit@{path}")


def test_another_shape_is_named_with_both(tmp_path):
    _, model = saved(tmp_path, "resnet20")
    state = model.state_dict() | {"layer2.0.conv1.weight": torch.zeros(32, 16, 1, 1)}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(
        InputError, match=r"layer2.0.conv1.weight is \(32, 16, 1, 1\) .* \(32, 16, 3, 3\) .* \(1 of"
    ):
        load_model(f"resnet20@{tmp_path / 'w.pth'}")


def test_half_precision_weights_become_float32(tmp_path):
    _, model = saved(tmp_path, "resnet20")
    torch.save({k: v.to(torch.bfloat16) for k, v in model.state_dict().items()}, tmp_path / "w.pt")
    loaded = load_model(f"resnet20@{tmp_path / 'w.pt'}")
    assert loaded.conv1.weight.dtype == torch.float32
    assert torch.equal(loaded.conv1.weight, model.conv1.weight.bfloat16().float())


def test_the_checkpoint_s_normalisation_comes_first(tmp_path):
    _, model = saved(tmp_path, "resnet20")
    held = {"net": model.state_dict(), "mean": [0.1, 0.2, 0.3], "std": np.full(3, 0.5)}
    torch.save(held, tmp_path / "w.pth")
    loaded = load_model(f"resnet20@{tmp_path / 'w.pth'}")
    assert (loaded.transform.mean, loaded.transform.std) == ((0.1, 0.2, 0.3), (0.5, 0.5, 0.5))


def test_torchvision_s_resnet_weights_fit_ours(tmp_path):
    """The keys are the same, so weights from either library can be used."""
    theirs = torchvision.models.resnet18(num_classes=6).eval()
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    ours = load_model(f"resnet18@{tmp_path / 'w.pth'}")
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))


def test_the_size_of_a_model_whose_patches_overlap(tmp_path):
    """hiera's patches overlap (7 px, stride 4): its size does not follow from the patch."""
    name = "hiera_tiny_224"
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in timm.create_model(name).state_dict().items()}
    torch.save({key: torch.zeros(shape) for key, shape in shapes.items()}, tmp_path / "w.pth")
    loaded = load_model(f"{name}@{tmp_path / 'w.pth'}")
    assert loaded.provenance["image_size"] == 224 and loaded.provenance["num_classes"] == 1000


def test_resnet20_on_real_images(real_data):
    """DataParallel's prefix, CUDA tensors, torch's old format; 91.5 % of these 1000 images."""
    model = load_model(f"resnet20@{real_data / 'resnet20-12fca82f.th'}")
    assert model.provenance["weights_sha256"].startswith("12fca82f")
    data = np.load(real_data / "cifar10-test1000.npz")
    with torch.no_grad():
        logits = model(torch.stack([model.transform(image) for image in data["images"]]))
    assert int((logits.argmax(1).numpy() == data["labels"]).sum()) == 915


def test_resnet20_has_not_100_classes(real_data):
    with pytest.raises(InputError, match=r"10 classes \(linear.weight \(10, 64\), linear.bias"):
        load_model(f"resnet20@{real_data / 'resnet20-12fca82f.th'}", num_classes=100)
