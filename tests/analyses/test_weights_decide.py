"""Weights that users have, on data of another size and other classes: the first try works."""

import pytest
import timm
import torch

import vitprobe
from vitprobe.errors import InputError

NAME = "vit_tiny_patch16_224"


def saved(folder, held, name="w.pt"):
    torch.save(held, folder / name)
    return folder / name


def test_an_imagenet_checkpoint_on_digits(tmp_path):
    """1,000 classes at 224 px; the digits are resized and normalised for it."""
    torch.manual_seed(1)
    net = timm.create_model(NAME, depth=2)
    path = saved(tmp_path, net.state_dict())
    result = vitprobe.cka(
        f"{NAME}@{path}", "resnet20@digits", layers="blocks", examples=32, batch_size=16
    )
    attrs = result.attrs
    assert attrs["model_a_num_classes"] == 1000 and attrs["model_a_image_size"] == "224, 224"
    assert attrs["model_b_image_size"] == "32, 32" and attrs["model_a_mean"] == "0.5, 0.5, 0.5"
    assert attrs["model_a_inferred"] == "depth 2" and len(attrs["model_a_weights_sha256"]) == 64
    given = vitprobe.cka(
        net, "resnet20@digits", layers="blocks", examples=32, batch_size=16
    )  # the module itself, made by timm
    assert (result["cka"].values == given["cka"].values).all()


def test_a_self_supervised_teacher_with_another_patch(tmp_path):
    torch.manual_seed(1)
    net = timm.create_model(NAME, depth=2, img_size=32, patch_size=8, num_classes=0)
    teacher = {f"module.backbone.{key}": value for key, value in net.state_dict().items()}
    student = {key: value * 2 for key, value in teacher.items()}
    held = {"student": student, "teacher": teacher | {"module.head.w": torch.ones(2)}}
    result = vitprobe.cka(f"{NAME}@{saved(tmp_path, held)}", layers="blocks", examples=64)
    expected = {
        "weights_key": "teacher.backbone",
        "weights_prefix": "backbone.",
        "inferred": "patch_size 8, depth 2",
        "left_out": "head.w",
        "num_classes": 0,
    }
    assert {key: result.attrs[f"model_a_{key}"] for key in expected} == expected
    result.to_netcdf(tmp_path / "r.nc", engine="h5netcdf")  # all attributes can be written
    attention = vitprobe.attention(f"{NAME}@{tmp_path / 'w.pt'}#student", examples=16)
    assert attention.attrs["model_weights_key"] == "student.backbone"


def test_grey_and_oblong(tmp_path):
    torch.manual_seed(1)
    net = timm.create_model(NAME, depth=1, in_chans=1, img_size=(32, 64), patch_size=8)
    path = saved(tmp_path, net.state_dict())
    result = vitprobe.cka(f"{NAME}@{path}", layers="blocks", examples=32, batch_size=16)
    assert result.attrs["model_a_image_size"] == "32, 64" and result.attrs["model_a_mean"] == "0.5"


def test_hugging_face_folders_on_named_data(tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.ViTConfig(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=32,
        image_size=48,
        patch_size=16,
    )
    net = transformers.ViTForImageClassification(config)
    net.save_pretrained(tmp_path / "net")
    spec = f"hf:{tmp_path / 'net'}@pretrained"
    result = vitprobe.cka(spec, "resnet20@digits", layers="blocks", examples=32, batch_size=16)
    assert list(result["layer_a"].values)[-1] == "output" and result["cka"].notnull().all()
    assert result.attrs["model_a_image_size"] == "48, 48"
    heads = vitprobe.attention(spec, examples=16)
    assert heads["distance"].shape == (2, 3)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (f"{NAME}@w.pt#ema", "no weights under 'ema'"),
        ("resnet20@w.pt", "does not fit resnet20"),
        (f"{NAME}(num_classes=10)@w.pt", "with 1000 classes .* but 10 were asked for"),
    ],
)
def test_errors_name_both_sides(tmp_path, monkeypatch, spec, words):
    saved(tmp_path, timm.create_model(NAME, depth=1).state_dict())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        vitprobe.cka(spec, examples=16)
