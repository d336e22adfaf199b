"""What a checkpoint claims of its weights: sizes, depth, kinds and names; a model or one line."""

import os
import time

import pytest
import torch
from safetensors.torch import save_file

from vitprobe.errors import InputError
from vitprobe.models import build_model, load_model, read_checkpoint
from vitprobe.text import printable

SMALL = {"dim": 64, "depth": 1, "heads": 2, "mlp_dim": 64, "patch_size": 8}
ESCAPES = "x\x1b]0;owned\x07\nsecond\u202e"


@pytest.fixture
def weights():
    return dict(build_model("vit", num_classes=3, architecture=SMALL).state_dict())


@pytest.fixture
def ends(tmp_path):
    """ends(held) -> the note of `vit@FILE`, or what refused it."""

    def of(held, name="vit"):
        torch.save(held, tmp_path / "w.pt")
        try:
            said = load_model(f"{name}@{tmp_path / 'w.pt'}").provenance["note"]
        except InputError as error:
            said = f"refused: {error}"
        assert said == printable(said, None)
        return said

    return of


@pytest.mark.parametrize("number", ["999999", "9" * 5001, "\u0663", "-1"])
def test_a_layer_of_any_number_makes_no_deep_model(ends, weights, number):
    started = time.monotonic()
    said = ends(weights | {f"blocks.{number}.norm1.weight": torch.zeros(64)})
    assert "does not fit" in said or "depth 1 as" in said
    assert time.monotonic() - started < 5


def test_options_have_an_end():
    for key, value in (("depth", 10**6), ("dim", 2**40), ("mlp_dim", 10**6000), ("heads", 10**9)):
        with pytest.raises(InputError, match=f"{key} must be at most"):
            build_model("vit", architecture={key: value})


def test_what_overlaps_counts_once(ends):
    base = torch.zeros(300_000)
    held = {"patch_embed.proj.weight": torch.zeros(300, 3, 4, 4)}
    for i in range(64):
        held |= {
            f"blocks.{i}.attn.qkv.weight": base[: 900 * 300].as_strided((900, 300), (300, 1)),
            f"blocks.{i}.mlp.fc1.weight": base.as_strided((1000, 300), (300, 1)),
        }
    torch.manual_seed(0)
    said = ends({"state_dict": held, "architecture": {"heads": 4}})
    assert said.startswith("refused") and "does not fit vit" in said


def test_two_names_of_one_storage_are_two_weights(ends, weights):
    weights["blocks.0.norm1.weight"] = weights["blocks.0.norm2.weight"] = torch.ones(64)
    assert "refused" not in ends(weights)
    weights["blocks.0.norm1.weight"] = torch.ones(128)[::2]
    assert "refused" not in ends(weights)


def test_shared_weights_of_many_layers_count_once(ends, weights):
    """A file of one layer that claims to have a hundred."""
    one = {key: value for key, value in weights.items() if key.startswith("blocks.0.")}
    for i in range(1, 100):
        weights |= {key.replace("blocks.0.", f"blocks.{i}."): v for key, v in one.items()}
    said = ends({"state_dict": weights, "architecture": {"heads": 2}})
    assert "refused" in said and "weights and the file" in said and "numbers" in said


def test_a_huge_positional_embedding(ends, tmp_path):
    weights = dict(build_model("vit", architecture=SMALL | {"dim": 4, "heads": 1}).state_dict())
    held = {"state_dict": weights, "architecture": {"heads": 1}}
    weights["pos_embed"] = torch.zeros(1).expand(1, 2**20 + 1, 4)
    assert "claims more numbers than it has" in ends(held)
    weights["pos_embed"] = torch.zeros(1, 2**20 + 1, 4)
    said = ends(held)
    assert "images of 8192 px" in said and "above 2,048 px" in said and "image_size=8192" in said
    model = load_model(f"vit@{tmp_path / 'w.pt'}", image_size=64)
    assert model.transform.image_size == (64, 64)


def sparse(weight):
    return weight.to_sparse()


def quantised(weight):
    return torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (sparse, "head.weight is sparse"),
        (quantised, "head.weight is quantised"),
        (lambda weight: weight.to("meta"), "head.weight is without numbers"),
        (lambda weight: weight.to(torch.complex64), "is of torch.complex64"),
        (lambda weight: weight.to(torch.int8), "is of torch.int8"),
        (lambda weight: weight > 0, "is of torch.bool"),
        (lambda weight: weight.double(), ""),
        (lambda weight: weight.bfloat16(), ""),
    ],
)
def test_kinds_of_weights(ends, weights, change, said):
    weights["head.weight"] = change(weights["head.weight"])
    found = ends(weights)
    assert said in found and found.startswith("refused") == bool(said)


def test_a_file_of_sparse_weights_alone(ends, weights):
    held = {key: value.to_sparse() for key, value in weights.items() if value.ndim}
    assert "whose weights are sparse" in ends(held)


@pytest.mark.parametrize("name", ["", ".", "..", "a" * 5001, "x." * 20_000, "9" * 5001, ESCAPES])
def test_names_that_are_none(ends, weights, name):
    assert "refused" not in ends(weights | {name: torch.zeros(3)})
    assert "refused" not in ends({name: weights})
    said = ends({f"{key}{name}": value for key, value in weights.items()} if name else {})
    assert said.startswith("refused") and len(said) < 2000
    assert "refused" not in ends({"state_dict": weights, name: {"b": [torch.zeros(3)]}})


def test_escapes_of_a_file_are_shown(tmp_path, ends, weights):
    said = ends(weights | {ESCAPES: torch.zeros(3)})
    assert r"x\x1b]0;owned\x07\nsecond\u202e" in said
    model = load_model(f"vit@{tmp_path / 'w.pt'}")
    assert model.provenance["left_out"] == [r"x\x1b]0;owned\x07\nsecond\u202e"]
    ends({ESCAPES: weights})
    assert "\x1b" not in load_model(f"vit@{tmp_path / 'w.pt'}").provenance["weights_key"]
    with pytest.raises(InputError, match=r"no weights under .*: there are x\\x1b"):
        load_model(f"vit@{tmp_path / 'w.pt'}#none")
    torch.save({ESCAPES: 3}, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"a dict with x\\x1b"):
        read_checkpoint(tmp_path / "w.pt")


def test_many_prefixes_and_many_sets_take_no_time(tmp_path, weights):
    started = time.monotonic()
    one = torch.zeros(1)
    torch.save({f"p{i}.cls_token": one for i in range(20_000)}, tmp_path / "prefixes.pt")
    torch.save([{"cls_token": one} for _ in range(20_000)], tmp_path / "sets.pt")
    for name in ("prefixes.pt", "sets.pt"):
        with pytest.raises(InputError):
            load_model(f"vit@{tmp_path / name}")
    assert time.monotonic() - started < 30


def test_what_a_file_says_and_makes_no_sense_is_in_the_note(ends, weights, tmp_path):
    said = ends({"state_dict": weights, "mean": [0.5] * 3, "std": [1e-300] * 3})
    assert "std [1e-300, 1e-300, 1e-300] are ignored" in said
    assert load_model(f"vit@{tmp_path / 'w.pt'}").transform.std is None
    assert "image size [2147483648, 2147483648] is ignored" in ends(
        {"state_dict": weights, "image_size": [2**31, 2**31]}
    )


def test_deep_metadata_of_safetensors(tmp_path, weights):
    deep = {"mean": "[" * 100_000 + "]" * 100_000, "std": '{"a":' * 50_000 + "1" + "}" * 50_000}
    deep |= {"settings": "9" * 5001, "image_size": "[1e999, -0]", "epoch": "\ud7ff\x1b[2J"}
    save_file(weights, tmp_path / "w.safetensors", deep)
    model = load_model(f"vit@{tmp_path / 'w.safetensors'}")
    assert model.transform.mean is None and len(model.provenance["note"]) < 1000


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_pipes_and_devices_are_never_waited_for(tmp_path, ending):
    os.mkfifo(tmp_path / f"pipe{ending}")
    (tmp_path / f"zero{ending}").symlink_to("/dev/zero")
    for name, kind in (("pipe", "a pipe"), ("zero", "a device")):
        for read in (read_checkpoint, lambda path: load_model(f"vit@{path}")):
            with pytest.raises(InputError, match=f"is {kind}: name a file"):
                read(tmp_path / f"{name}{ending}")


@pytest.mark.parametrize(
    "spec", ["vit@~nosuchuser/w.pt", "local-dir:~nosuchuser/x", "hf:~nosuchuser/x", "vit@a\0b"]
)
def test_paths_that_are_none(spec):
    with pytest.raises(InputError, match="no such user|is no path"):
        load_model(spec)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "~nosuchuser/x#y", "vit@~nosuchuser/a#b"])
def test_names_that_are_no_models(name):
    with pytest.raises(InputError):
        load_model(name)


@pytest.mark.parametrize("key", ["checkpoint_path='w.pth'", "pretrained=True", "pretrained_cfg={}"])
def test_timm_is_given_no_other_files(key):
    with pytest.raises(InputError, match="resnet26: weights are not named by"):
        load_model(f"resnet26({key})")
