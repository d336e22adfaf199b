"""Models of transformers, and of timm in folders and hubs; folders made by the libraries here."""

import json
import shutil
import sys

import pytest
import timm
import torch
from timm.models import save_for_hf

from vitprobe.errors import InputError
from vitprobe.models import build_model, load_model

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

SMALL = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 32,
    "image_size": 48,
    "patch_size": 16,
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def classifier(tmp_path):
    """A ViT with a classifier, as `save_pretrained` leaves it, and its image processor."""
    torch.manual_seed(1)
    model = transformers.ViTForImageClassification(transformers.ViTConfig(**SMALL, num_labels=7))
    model.save_pretrained(tmp_path / "net")
    processor = transformers.ViTImageProcessor(
        size={"height": 48, "width": 48}, image_mean=[0.1, 0.2, 0.3], image_std=[0.4, 0.5, 0.6]
    )
    processor.save_pretrained(tmp_path / "net")
    return model.eval(), tmp_path / "net"


def first(output):
    return output.logits if hasattr(output, "logits") else output[0]


def same(loaded, model, size=48):
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        return torch.equal(first(loaded(x)), first(model.eval()(x)))


def test_a_folder_gives_the_model_that_was_saved(classifier):
    model, folder = classifier
    loaded = build_model(f"hf:{folder}@pretrained", fallback_classes=10, fallback_image_size=32)
    assert same(loaded, model)
    assert (loaded.provenance["num_classes"], loaded.provenance["image_size"]) == (7, 48)
    assert (loaded.transform.mean, loaded.transform.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert "transformers ViTForImageClassification" in loaded.provenance["note"]
    assert loaded.provenance["revision"] == ""


def test_no_weights_means_random_here_too(classifier):
    model, folder = classifier
    loaded = load_model(f"hf:{folder}")
    assert not same(loaded, model) and loaded.provenance["weights"] == "random"
    assert f"for trained ones use hf:{folder}@pretrained" in loaded.provenance["note"]
    assert load_model(f"hf:{folder}(num_hidden_layers=1,num_labels=3)").config.num_labels == 3
    with pytest.raises(InputError, match="no argument 'num_hidden_layer'.*'num_hidden_layers'"):
        load_model(f"hf:{folder}(num_hidden_layer=1)")


def test_files_of_its_weights_in_the_names_of_any_release(classifier, tmp_path):
    """`save_pretrained` writes other names than those of `state_dict()`."""
    model, folder = classifier
    loaded = load_model(f"hf:{folder}@{folder / 'model.safetensors'}")
    assert same(loaded, model) and loaded.provenance["weights_key"] == ""
    torch.save({"state_dict": {f"model.{k}": v for k, v in model.state_dict().items()}}, "w.pt")
    assert same(load_model(f"hf:{folder}@w.pt"), model)
    torch.save(model.vit.state_dict(), "w.pt")  # the encoder alone
    loaded = load_model(f"hf:{folder}@w.pt")
    assert isinstance(loaded.classifier, torch.nn.Identity)
    assert torch.equal(loaded.vit.layernorm.weight, model.vit.layernorm.weight)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_weights_decide_about_the_configuration(classifier):
    _, folder = classifier
    other = transformers.ViTConfig(
        **SMALL | {"patch_size": 8, "num_channels": 1, "num_hidden_layers": 3}, num_labels=4
    )
    model = transformers.ViTForImageClassification(other).eval()
    torch.save(model.state_dict(), "w.pt")
    loaded = load_model(f"hf:{folder}@w.pt")
    told = {"patch_size": 8, "num_channels": 1, "num_hidden_layers": 3}
    assert loaded.provenance["inferred"] == told and loaded.provenance["num_classes"] == 4
    x = torch.randn(2, 1, 48, 48)
    with torch.no_grad():
        assert torch.equal(loaded(x).logits, model(x).logits)


def test_positions_of_another_grid(classifier):
    model, folder = classifier
    loaded = load_model(f"hf:{folder}@pretrained", image_size=64)
    assert "positions interpolated from 48 to 64 px" in loaded.provenance["note"]
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():  # transformers' own function, within its forward
        expected = model(x, interpolate_pos_encoding=True).logits
        assert torch.equal(loaded(x).logits, expected)
        torch.save(model.state_dict(), "w.pt")
        other = load_model(f"hf:{folder}@w.pt", image_size=64)
        assert other(x).logits.shape == (2, 7)


FAMILIES = {
    "Dinov2": lambda t: t.Dinov2Model(t.Dinov2Config(**SMALL)),
    "Dinov2WithRegisters": lambda t: t.Dinov2WithRegistersModel(
        t.Dinov2WithRegistersConfig(**SMALL)
    ),
    "DeiT": lambda t: t.DeiTModel(t.DeiTConfig(**SMALL)),
    "ViT": lambda t: t.ViTModel(t.ViTConfig(**SMALL)),
    "ResNet": lambda t: t.ResNetForImageClassification(
        t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ),
    "Swin": lambda t: t.SwinForImageClassification(
        t.SwinConfig(
            image_size=48, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=3
        )
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_families(family, tmp_path):
    torch.manual_seed(1)
    model = FAMILIES[family](transformers)
    model.save_pretrained(tmp_path / "net")
    loaded = load_model("hf:net@pretrained")
    assert same(loaded, model)
    bare = "ImageClassification" not in type(model).__name__
    words = "without a classifier" if bare else "with their own classifier"
    assert words in loaded.provenance["note"]


def test_the_part_that_sees_of_a_model_of_images_and_text(tmp_path):
    text = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 3, "vocab_size": 99}
    config = transformers.CLIPConfig(
        vision_config=SMALL, text_config=text | {"bos_token_id": 1, "eos_token_id": 2}
    )
    transformers.CLIPModel(config).save_pretrained(tmp_path / "net")
    loaded = load_model("hf:net@pretrained")
    assert same(loaded, transformers.CLIPVisionModel.from_pretrained("net"))


def test_the_encoder_of_a_model_that_was_saved_with_another_head(tmp_path):
    """Its pooler was never trained: it is left out, not drawn at random."""
    model = transformers.ViTForMaskedImageModeling(transformers.ViTConfig(**SMALL))
    model.save_pretrained(tmp_path / "net")
    loaded = load_model("hf:net@pretrained")
    assert loaded.pooler is None
    assert same(loaded, transformers.ViTModel.from_pretrained("net", add_pooling_layer=False))


def test_what_cannot_be_read_is_one_line(tmp_path, monkeypatch):
    config = transformers.BertConfig(
        hidden_size=24, num_hidden_layers=1, num_attention_heads=3, vocab_size=99
    )
    transformers.BertModel(config).save_pretrained(tmp_path / "text")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    for spec, words in {
        "hf:text@pretrained": "no model of images: it takes input_ids",
        "hf:empty": "cannot be read as a model of transformers",
        "hf:broken": "cannot be read as a model of transformers",
        "hf:./nowhere": "no folder nowhere",
        "hf:empty(revision='main')": "is a folder, which has no revisions",
        "local-dir:text": "cannot be read as a model of timm .*hf:text",
        "local-dir:nowhere": "no folder nowhere",
        "text": "'text' is a folder: write hf:text@pretrained",
    }.items():
        with pytest.raises(InputError, match=words) as caught:
            load_model(spec)
        assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r'needs transformers: pip install "vitprobe\[hf\]"'):
        load_model("hf:text")


def in_the_cache(folder, hub, repository):
    """The folder as the hub's client would have left it in its cache."""
    place = hub / f"models--{repository.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    shutil.copytree(folder, place / "snapshots" / COMMIT)


@pytest.fixture
def offline_hub(tmp_path, monkeypatch):
    """An empty cache, and no network: what the environment variables do when a process starts."""
    import huggingface_hub.constants

    hub = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(hub))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(hub))
    monkeypatch.setattr("transformers.utils.hub.constants.HF_HUB_CACHE", str(hub), raising=False)
    return hub


def test_a_repository_is_read_from_the_cache_at_its_commit(classifier, offline_hub):
    model, folder = classifier
    in_the_cache(folder, offline_hub, "someone/net")
    for spec in ("hf:someone/net@pretrained", f"hf:someone/net(revision='{COMMIT}')@pretrained"):
        loaded = load_model(spec)
        assert same(loaded, model) and loaded.provenance["revision"] == COMMIT
        assert loaded.transform.mean == (0.1, 0.2, 0.3)
    for spec in ("hf:someone/other@pretrained", "hf:someone/net(revision='v9')@pretrained"):
        with pytest.raises(InputError, match="cannot read hf:someone/.* from the hub or its cache"):
            load_model(spec)


def test_timm_s_folders_and_repositories(tmp_path, offline_hub):
    model = timm.create_model("test_vit", num_classes=5, img_size=64).eval()
    save_for_hf(model, tmp_path / "net", model_args={"num_classes": 5, "img_size": 64})
    in_the_cache(tmp_path / "net", offline_hub, "someone/small")
    x = torch.randn(2, 3, 64, 64)
    for spec in ("local-dir:net", f"local-dir:{tmp_path / 'net'}", "hf-hub:someone/small"):
        loaded = load_model(f"{spec}@pretrained")
        with torch.no_grad():
            assert torch.equal(loaded(x), model(x))
        assert loaded.provenance["num_classes"] == 5
        assert loaded.provenance["revision"] == (COMMIT if spec.startswith("hf-hub") else "")
        assert load_model(spec).provenance["weights"] == "random"
    assert json.loads((tmp_path / "net" / "config.json").read_text())["architecture"] == "test_vit"
    torch.save({"state_dict_ema": model.state_dict()}, "w.pt")
    with torch.no_grad():
        assert torch.equal(load_model("local-dir:net@w.pt")(x), model(x))
