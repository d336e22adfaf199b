"""Models with labels, the user's own data, and what is done to their images or refused."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import vitprobe
from vitprobe.errors import InputError, VitprobeWarning
from vitprobe.models.checkpoints import state_sha256
from vitprobe.passes.subjects import named_models


@pytest.fixture
def pictures():
    noise = np.random.default_rng(0)
    return [Image.fromarray(noise.integers(0, 256, (40, 56, 3), np.uint8)) for _ in range(24)]


class Small(nn.Module):
    """A convolution and its mean over space."""

    def __init__(self, width=4):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3)

    def forward(self, images):
        return self.conv(images).mean((2, 3))


def labels(*models):
    return [one.label for one in named_models(models)]


def test_what_models_are_called():
    small, other = Small(), Small(8)
    assert labels("vit", "early=vit@a=b.pt", "vit(depth=2)") == ["vit", "early", "vit(depth=2)"]
    assert labels({"early": "vit@a.pt", "late": small}) == ["early", "late"]
    assert labels(small, other, small) == ["Small (1)", "Small (2)", "Small (1)"]
    assert labels(small, {"wide": other}) == ["Small", "wide"]
    assert labels("vit", "vit") == ["vit", "vit"]
    assert [(one.label, one.model) for one in named_models([{" a ": "b=resnet18"}, "c= vit"])] == [
        ("a", "resnet18"),
        ("c", "vit"),
    ]


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (("a=vit", "a=resnet18"), "two models are called 'a'"),
        (("a=vit", "b=vit"), "a and b are one model: name it once"),
        (("=vit",), "no LABEL=SPEC"),
        (("a=",), "no LABEL=SPEC"),
        (({"": "vit"},), "the label of a model is a text"),
        (({3: "vit"},), "the label of a model is a text"),
        (({"a": 3},), "not int"),
        ((None,), "not NoneType"),
    ],
)
def test_what_models_cannot_be_called(models, message):
    with pytest.raises(InputError, match=message):
        named_models(models)


def test_labels_name_the_result():
    early, late = Small(), Small()
    images = torch.rand(24, 3, 12, 12)
    result = vitprobe.cka({"early": early, "late": late}, data=images, batch_size=8)
    attrs = result.attrs
    assert (attrs["model_a"], attrs["model_b"]) == ("early", "late")
    assert attrs["model_a_spec"] == attrs["model_a_name"] == "Small"
    assert attrs["model_a_weights"] == "as given"
    assert attrs["model_a_weights_sha256"] == state_sha256(early.state_dict())
    assert attrs["model_b_weights_sha256"] != attrs["model_a_weights_sha256"]
    with pytest.raises(InputError, match="two models are compared, not 3"):
        vitprobe.cka({"a": early, "b": late}, Small(), images)
    with pytest.raises(InputError, match="one model is looked at, not 2"):
        vitprobe.attention({"a": "vit@digits", "b": "vit"}, examples=4)


def test_weights_of_a_users_callable_are_as_given(tmp_path, monkeypatch):
    (tmp_path / "mine_given.py").write_text(
        "import torch\n\n\ndef net():\n    model = torch.nn.Conv2d(3, 2, 1)\n"
        "    torch.nn.init.ones_(model.weight)\n    return model\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    result = vitprobe.cka("mine_given:net", data=torch.rand(16, 3, 4, 4), batch_size=8)
    attrs = result.attrs
    assert attrs["model_a_weights"] == "as given by mine_given:net"
    assert attrs["model_a_spec"] == "mine_given:net" and "random" not in attrs["model_a_note"]
    model = vitprobe.load_model("mine_given:net")
    assert attrs["model_a_weights_sha256"] == state_sha256(model.state_dict())
    del sys.modules["mine_given"]


@pytest.mark.parametrize("spec", ["vit", "vit@digits"])
def test_a_loaded_model_that_was_trained_on_is_as_given(spec):
    model, images = vitprobe.load_model(spec), torch.rand(16, 3, 32, 32)
    told = {"data": images, "batch_size": 8, "layers": "blocks"}
    attrs = vitprobe.cka(model, **told).attrs
    assert attrs["model_a_weights"] == (spec.partition("@")[2] or "random")
    assert attrs["model_a_weights_sha256"] == model.provenance["weights_sha256"]
    with torch.no_grad():
        model.head.weight.mul_(1.5)
    attrs = vitprobe.cka(model, **told).attrs
    assert attrs["model_a_weights"] == "as given" and attrs["model_a_name"] == "vit"
    assert attrs["model_a_weights_sha256"] == state_sha256(model.state_dict())
    assert attrs["model_a_note"] == "vit: weights that were changed since they were loaded"


@pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")
def test_options_of_images_hold_in_python(pictures):
    """What a command does with flags: size and normalisation of a user's own images."""
    seen = []

    class Seeing(Small):
        def forward(self, images):
            seen.append(images)
            return super().forward(images)

    options = {"image_size": 16, "mean": (0.5, 0.4, 0.3), "std": 0.25, "batch_size": 8}
    result = vitprobe.cka(Seeing(), data=pictures, examples=16, order="file", **options)
    assert result.attrs["examples"] == 16 and result.attrs["order"] == "file"
    assert result.attrs["model_a_image_size"] == "16, 16"
    assert result.attrs["model_a_mean"] == "0.5, 0.4, 0.3"
    assert result.attrs["model_a_std"] == "0.25, 0.25, 0.25"
    transform = vitprobe.data.Transform((16, 16), (0.5, 0.4, 0.3), (0.25,) * 3)
    assert torch.equal(seen[-1], torch.stack([transform(image) for image in pictures[8:16]]))


def test_images_that_nobody_normalises_are_told(pictures):
    with pytest.warns(VitprobeWarning, match="Small: no mean and std are known .* give mean and"):
        result = vitprobe.cka(Small(), data=pictures, image_size=16, batch_size=8)
    assert "no mean and std are known" in result.attrs["notes"]
    told = {"mean": 0.5, "std": 0.5}
    assert (
        "no mean"
        not in vitprobe.cka(Small(), data=pictures, image_size=16, batch_size=8, **told).attrs[
            "notes"
        ]
    )
    stream = (image for image in pictures)
    result = vitprobe.cka(Small(), data=stream, image_size=16, batch_size=8)
    assert "no mean and std are known" in result.attrs["notes"]
    tensors = vitprobe.cka(Small(), data=torch.rand(24, 3, 8, 8), batch_size=8)
    assert "no mean" not in tensors.attrs["notes"]


@pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")
def test_a_transformers_model_brings_its_image_processor(pictures, tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=16,
    )
    transformers.ViTModel(config).save_pretrained(tmp_path)
    transformers.ViTImageProcessor(
        size={"height": 32, "width": 32}, image_mean=[0.1, 0.2, 0.3], image_std=[0.4, 0.5, 0.6]
    ).save_pretrained(tmp_path)
    model = transformers.ViTModel.from_pretrained(tmp_path)
    attrs = vitprobe.cka(model, data=pictures, layers="blocks", batch_size=8).attrs
    assert attrs["model_a_image_size"] == "32, 32" and "no mean" not in attrs["notes"]
    assert (attrs["model_a_mean"], attrs["model_a_std"]) == ("0.1, 0.2, 0.3", "0.4, 0.5, 0.6")
    plain = vitprobe.cka(
        transformers.ViTModel(config), data=pictures, layers="blocks", batch_size=8
    )
    assert plain.attrs["model_a_image_size"] == "32, 32"
    assert "ViTModel: no mean and std are known" in plain.attrs["notes"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "train"}, "split has no effect on a Tensor: it is for named data sets"),
        ({"data_dir": "x"}, "data_dir has no effect"),
        ({"max_pixels": 3}, "max_pixels has no effect"),
        ({"mean": 0.5}, "mean has no effect on a Tensor: it is for images that are no tensors"),
    ],
)
def test_an_option_without_an_effect_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        vitprobe.cka(Small(), data=torch.rand(16, 3, 8, 8), **options)


def test_errors_of_functions_name_arguments():
    with pytest.raises(InputError, match="is image_size right"):
        vitprobe.cka("vit@digits", data=torch.rand(16, 3, 12, 12))


@pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")
class TestTokens:
    """One choice for each model."""

    def test_a_class_token_against_a_pooled_map(self):
        options = {"examples": 64, "batch_size": 32, "layers": "blocks"}
        result = vitprobe.cka("vit@digits", "resnet20@digits", tokens=["cls", "mean"], **options)
        assert (result.attrs["tokens_a"], result.attrs["tokens_b"]) == ("cls", "mean")
        cls = vitprobe.cka("vit@digits", tokens="cls", **options)
        mean = vitprobe.cka("resnet20@digits", tokens="mean", **options)
        assert np.array_equal(result["cka_aa"], cls["cka"])
        assert np.array_equal(result["cka_bb"], mean["cka"])
        assert list(result["features_a"].values) == [128] * 6
        assert list(result["features_b"].values[:9]) == [16] * 3 + [32] * 3 + [64] * 3

    def test_two_choices_of_one_model(self):
        options = {"examples": 64, "batch_size": 32, "layers": "blocks"}
        model = vitprobe.load_model("vit@digits")
        result = vitprobe.cka(model, model, tokens=["cls", "patches"], **options)
        assert result.sizes["layer_a"] == result.sizes["layer_b"] == 6
        assert np.array_equal(
            result["cka_bb"], vitprobe.cka(model, tokens="patches", **options)["cka"]
        )
        assert not any(module._forward_hooks for module in model.modules())

    @pytest.mark.parametrize(
        ("tokens", "message"),
        [
            (["cls", "mean", "all"], "3 choices of tokens .* for 2 models"),
            (["cls", "mena"], "unknown tokens 'mena'.*did you mean 'mean'"),
            (["mean", "cls"], "no layer is left of layers='blocks' with tokens='cls'"),
        ],
    )
    def test_wrong_choices(self, tokens, message):
        with pytest.raises(InputError, match=message):
            vitprobe.cka("vit", "resnet20", layers="blocks", tokens=tokens, examples=32)
