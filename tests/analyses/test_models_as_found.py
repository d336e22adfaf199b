"""Models as users have them: in other types, in wrappers, of small integers."""

from copy import deepcopy

import forked
import numpy as np
import pytest
import timm
import torch
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim.swa_utils import AveragedModel

import vitprobe

pytestmark = [
    pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.ao.quantization.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*reduce_range.*"),
]


def small_vit():
    torch.manual_seed(0)
    return timm.create_model(
        "vit_tiny_patch16_224", img_size=16, patch_size=4, embed_dim=24, depth=2, num_classes=5
    ).eval()


def small_cnn():
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()),
        *(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 5)),
    ).eval()


BUILD = {"vit": small_vit, "cnn": small_cnn}


def cka(model, images, **options):
    return vitprobe.cka(model, data=images, batch_size=12, **options)


def names(result):
    return result["layer_a"].values.tolist()


WRAPPERS = {
    "DataParallel": nn.DataParallel,
    "torch.compile": torch.compile,
    "ModelEmaV3": ModelEmaV3,
    "AveragedModel": AveragedModel,
}


@pytest.mark.parametrize("kind", BUILD)
@pytest.mark.parametrize("wrap", WRAPPERS)
def test_a_wrapped_model_is_the_model(kind, wrap, images):
    model = BUILD[kind]()
    plain = cka(model, images)
    wrapped = WRAPPERS[wrap](model)
    result = cka(wrapped, images)
    assert names(result) == names(plain)
    assert np.array_equal(result["cka"].values, plain["cka"].values)
    assert result.attrs["model_a"] == type(model).__name__
    table, of_plain = vitprobe.survey(wrapped, images), vitprobe.survey(model, images)
    assert [(site.name, site.shape, site.reason) for site in table] == [
        (site.name, site.shape, site.reason) for site in of_plain
    ]
    if kind == "vit":
        heads, of_plain = (vitprobe.attention(m, images) for m in (wrapped, model))
        assert np.array_equal(heads["distance"].values, of_plain["distance"].values)


def test_a_model_and_itself_in_a_wrapper_are_one(images):
    model = small_cnn()
    result = vitprobe.cka(model, nn.DataParallel(model), images, batch_size=12)
    assert "cka_aa" not in result  # not two models
    assert np.array_equal(result["cka"].values, cka(model, images)["cka"].values)


def test_a_wrapper_does_not_hide_what_is_done_to_an_image():
    model = vitprobe.load_model("resnet20")
    options = {"layers": "blocks", "examples": 32, "batch_size": 16}
    plain, result = (vitprobe.cka(m, **options) for m in (model, nn.DataParallel(model)))
    assert result.attrs["model_a_mean"] == plain.attrs["model_a_mean"] != ""
    assert result.attrs["model_a_weights_sha256"] == plain.attrs["model_a_weights_sha256"]
    assert np.array_equal(result["cka"].values, plain["cka"].values)


DISTRIBUTED = """
import numpy as np, torch, vitprobe, warnings
from torch import distributed, nn
warnings.simplefilter("ignore")
distributed.init_process_group("gloo", init_method="file://{}", rank=0, world_size=1)
torch.manual_seed(0)
model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
wrapped = nn.parallel.DistributedDataParallel(model)
images = torch.randn(16, 3, 8, 8)
plain, result = (vitprobe.cka(m, data=images, batch_size=8) for m in (model, wrapped))
assert result["layer_a"].values.tolist() == plain["layer_a"].values.tolist() == ["0", "1", "2", "3"]
assert np.array_equal(result["cka"].values, plain["cka"].values)
assert [s.name for s in vitprobe.survey(wrapped, images)] == ["0", "1", "2", "3", "output"]
distributed.destroy_process_group()
print("the same")
"""


def test_distributed_data_parallel(tmp_path):
    done = forked.python("-c", DISTRIBUTED.format(tmp_path / "store"))
    assert done.stdout.strip() == "the same", done.stderr


@pytest.mark.parametrize("kind", BUILD)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-5), (torch.float16, 1e-2), (torch.bfloat16, 1e-1)]
)
def test_models_of_other_types(kind, dtype, tolerance, images):
    model = BUILD[kind]()
    plain, result = cka(model, images), cka(deepcopy(model).to(dtype), images)
    assert names(result) == names(plain)
    assert np.abs(result["cka"].values - plain["cka"].values).max() < tolerance
    if kind == "vit":
        heads = vitprobe.attention(deepcopy(model).to(dtype), images)
        plain = vitprobe.attention(model, images)
        assert np.abs(heads["distance"].values - plain["distance"].values).max() < 0.01


@pytest.mark.parametrize("kind", BUILD)
def test_dynamically_quantised(kind, images):
    model = BUILD[kind]()
    quantised = torch.ao.quantization.quantize_dynamic(deepcopy(model), {nn.Linear})
    plain, result = cka(model, images), cka(quantised, images)
    assert names(result) == names(plain)
    assert np.abs(result["cka"].values - plain["cka"].values).max() < 0.2
    blocks, of_plain = (cka(m, images, layers="blocks") for m in (quantised, model))
    assert names(blocks) == names(of_plain)
    if kind == "vit":
        heads = vitprobe.attention(quantised, images)
        assert heads["layer"].values.tolist() == ["blocks.0.attn", "blocks.1.attn"]


@pytest.mark.skipif(
    "fbgemm" not in torch.backends.quantized.supported_engines, reason="no fbgemm here"
)
def test_statically_quantised(images):
    """8-bit activations are read as the numbers that they stand for."""
    torch.backends.quantized.engine = "fbgemm"
    ao = torch.ao.quantization
    model = small_cnn()
    whole = nn.Sequential(ao.QuantStub(), *model, ao.DeQuantStub()).eval()
    whole.qconfig = ao.get_default_qconfig("fbgemm")
    prepared = ao.prepare(ao.fuse_modules(whole, [["1", "2", "3"], ["5", "6"], ["9", "10"]]))
    prepared(images)
    quantised = ao.convert(prepared)
    result = cka(quantised, images, layers=["1", "5", "7", "9", "12"])
    plain = cka(model, images, layers=["2", "5", "6", "9", "10"])  # the ReLUs, and the end
    assert np.isfinite(result["cka"]).all() and (result["blank_a"] == "").all()
    assert np.abs(result["cka"].values - plain["cka"].values).max() < 0.05
    everything = cka(quantised, images)
    assert set(everything["type_a"].values) >= {"ConvReLU2d", "LinearReLU"}
