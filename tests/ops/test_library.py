"""Where there are no kernels the reference runs, and says so once."""

import ctypes
import warnings
from functools import cache

import pytest
import torch

from vitprobe import ops
from vitprobe.errors import VitprobeWarning
from vitprobe.ops import library, reference


@pytest.fixture
def forgotten(monkeypatch):
    """Nothing has been asked of the library yet; what this test leaves is forgotten too."""
    monkeypatch.setattr(library, "_known", {})
    library.why_no_cuda.cache_clear()
    yield monkeypatch
    library.why_no_cuda.cache_clear()


def test_reference_runs_with_one_warning(forgotten, activations):
    reason = "it was never built; run `pip install .`"
    forgotten.setattr(library, "why_no_cpu", lambda: reason)
    x = activations(20, 100)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gram = ops.gram(x)
        vector = ops.centered_gram(x)
        packed = ops.center_pack(gram, "biased")
        acc = ops.hsic_accumulate_(
            torch.zeros(1, 1, dtype=torch.float64), vector[None], vector[None]
        )
    assert [w.category for w in caught] == [VitprobeWarning]
    assert reason in str(caught[0].message) and caught[0].filename == __file__
    assert torch.equal(gram, reference.gram(x))
    assert torch.equal(vector, reference.centered_gram(x))
    assert torch.equal(packed, reference.center_pack(gram, "biased"))
    assert acc.item() == pytest.approx((vector.double() @ vector.double()).item(), rel=1e-6)
    assert ops.kernel_status()["cpu"] == reason


def test_other_devices_use_the_reference(forgotten):
    with pytest.warns(VitprobeWarning, match="no vitprobe kernels for meta"):
        assert ops.gram(torch.empty(10, 7, device="meta")).shape == (55,)


def test_old_driver(forgotten):
    forgotten.setattr(library, "why_no_cpu", lambda: "")
    forgotten.setattr(torch.version, "cuda", "13.0")
    forgotten.setattr(library, "build_record", lambda: {"cuda": "13.2.86"})
    forgotten.setattr(library, "driver_version", lambda: (12, 8))
    status = ops.kernel_status()
    assert status["cuda"] == "built for CUDA 13.2.86, but the driver only knows CUDA 12.8"
    assert status["driver"] == "12.8"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({}, "it was never built"),
        ({"cuda": None, "why_no_cuda": "VITPROBE_CUDA=0"}, "VITPROBE_CUDA=0"),
    ],
)
def test_cuda_not_built(forgotten, record, reason):
    forgotten.setattr(library, "why_no_cpu", lambda: "")
    forgotten.setattr(torch.version, "cuda", "13.2")
    forgotten.setattr(library, "build_record", lambda: record)
    assert reason in ops.kernel_status()["cuda"]


def test_torch_of_another_cuda(forgotten):
    """A driver of the newest CUDA runs both; the library was built against the other's headers."""
    forgotten.setattr(library, "why_no_cpu", lambda: "")
    forgotten.setattr(torch.version, "cuda", "12.6")
    forgotten.setattr(library, "build_record", lambda: {"cuda": "13.2.86"})
    forgotten.setattr(library, "driver_version", lambda: (13, 2))
    status = ops.kernel_status()
    assert status["cuda"] == "built for CUDA 13.2.86, but this torch is of CUDA 12.6"


def test_a_gpu_without_an_image_takes_the_reference_with_one_warning_each(forgotten):
    why = "Tesla T4, sm_75; built for 8.0+PTX;9.0a: no kernel image is available"
    forgotten.setattr(library, "why_no_cuda", cache(lambda: ""))
    forgotten.setattr(library, "why_no_image", lambda index: why if index == 0 else "")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = [library.has_kernels(torch.device("cuda", index)) for index in (0, 1, 0, 1, 0)]
    assert found == [False, True, False, True, False]
    (warning,) = caught
    assert warning.category is VitprobeWarning
    assert f"no vitprobe kernels for cuda:0 ({why})" in str(warning.message)


def test_there_is_no_image_for_a_gpu_that_is_not_there():
    assert library.why_no_image(torch.cuda.device_count()) == "there is no such GPU"


@pytest.mark.skipif(bool(library.why_no_cuda()), reason="no CUDA kernels are built")
def test_the_library_can_be_asked_for_an_image():
    """Its other symbols are hidden."""
    assert hasattr(ctypes.CDLL(str(library.library_file("_C_cuda"))), "vitprobe_why_no_image")


def test_torch_without_cuda(forgotten):
    forgotten.setattr(torch.version, "cuda", None)
    assert ops.kernel_status()["cuda"] == "this torch has no CUDA"


def test_a_library_that_does_not_load(forgotten, tmp_path):
    class Spec:
        origin = str(tmp_path / "_C.abi3.so")

    (tmp_path / "_C.abi3.so").write_text("no library")
    forgotten.setattr(library.importlib.util, "find_spec", lambda name: Spec)
    reason = library.why_no_cpu.__wrapped__()
    assert reason.startswith("it does not load: ") and "\n" not in reason


def test_status_here():
    """In a built checkout and in an installed package the record says what runs."""
    status = ops.kernel_status()
    assert set(status) == {"build", "driver", "cpu", "cuda", "cuda_kernels"}
    if status["cpu"] == "loaded":
        assert status["build"]["torch"]
        assert (status["build"]["cuda"] is None) == bool(status["build"]["why_no_cuda"])


def test_status_says_what_the_environment_asks_for(monkeypatch):
    for variable in ("VITPROBE_GRAM", "VITPROBE_TUNE"):
        monkeypatch.delenv(variable, raising=False)
    assert set(ops.kernel_status()["cuda_kernels"].values()) == {"proved"}
    for name in ("simple", "fast", "reference"):
        monkeypatch.setenv("VITPROBE_GRAM", name)
        assert ops.kernel_status()["cuda_kernels"]["centered_gram"] == name
    assert ops.kernel_status()["cuda_kernels"]["hsic_accumulate_"] == "proved"
    monkeypatch.setenv("VITPROBE_TUNE", "0")
    assert ops.kernel_status()["cuda_kernels"]["hsic_accumulate_"] == "simple"
    monkeypatch.setenv("VITPROBE_GRAM", "quick")
    with pytest.raises(ValueError, match="reference, simple or fast, not 'quick'"):
        ops.kernel_status()


def test_precision_is_a_permission(activations):
    x = activations(20, 100)
    assert torch.equal(ops.centered_gram(x, precision="tf32"), ops.centered_gram(x))
    with pytest.raises(ValueError, match="precision must be 'fp32' or 'tf32'"):
        ops.centered_gram(x, precision="fp16")
