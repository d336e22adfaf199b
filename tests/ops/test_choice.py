"""Which kernel runs: the environment's, else the fastest right one, else the reference."""

import warnings
from pathlib import Path

import pytest
import torch
from made_gpu import FOUND, made_gpu

from vitprobe import ops
from vitprobe.errors import VitprobeWarning
from vitprobe.ops import choice, sizes
from vitprobe.ops.candidates import CANDIDATES
from vitprobe.ops.proof.question import Result
from vitprobe.ops.proof.run import Proof
from vitprobe.ops.variants import KERNELS

GPU = torch.device("cuda", 0)


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """A GPU that is made up: a function says what its candidates are."""
    return lambda **found: made_gpu(monkeypatch, tmp_path, **found)


def kernel(kind="f32", size=sizes.SMALL, operator="centered_gram", device=GPU):
    return choice.kernel_for(operator, device, kind, size)


def test_the_fastest_right_one_runs_and_is_remembered(gpu, monkeypatch, capsys):
    tried = gpu(**FOUND)
    assert choice.choices(0) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kernel() == kernel("bf16", sizes.LARGE) == "simple"
    assert len(tried) == 1 and capsys.readouterr().err.count("\n") == 1
    found = choice.choices(0)
    assert [(each.kind, each.size, each.kernel) for each in found] == [
        *(("f32", "small", "simple"), ("f32", "large", "simple")),
        *(("bf16", "small", "simple"), ("bf16", "large", "simple")),
    ]
    assert choice.ranked(found[0].results, "small") == ["simple", "reference"]
    assert "SIGABRT" in found[0].results["fast"].why

    choice._answers.clear()  # as another process begins
    choice._picked.clear()
    assert choice.choices(0) == found  # without a trial
    assert kernel() == "simple" and capsys.readouterr().err == ""


def test_none_is_right(gpu):
    gpu(reference="raises", simple="wrong", fast="segfaults")
    with pytest.warns(VitprobeWarning) as caught:
        assert kernel() == "reference"
        assert kernel(size=sizes.LARGE) == "reference"
    (warning,) = caught
    line = str(warning.message)
    assert "no kernel is known to be right on a stand-in for any operator" in line
    assert "SIGSEGV" in line and "simple: error 5.0e-04" in line and "\n" not in line
    assert [each.kernel for each in choice.choices(0)] == ["reference"] * 2


def test_the_line_names_the_operators_that_have_none():
    good, bad = {"simple": Result(0.0, "", {"small": 1.0})}, {"simple": Result(None, "it aborts")}
    answers = {("gram", "f32"): good, ("gram", "f64"): bad, ("gram", "bf16"): bad}
    with pytest.warns(VitprobeWarning, match=r"for gram \(f64 bf16\) \(simple: it aborts\);"):
        choice.warn_of_the_reference("H200", Proof(answers))
    with pytest.warns(VitprobeWarning, match=r"for any operator \(busy\);"):
        choice.warn_of_the_reference("H200", Proof({("gram", "f64"): bad}, "busy"))


def test_the_environment_overrides_without_a_trial(gpu, monkeypatch):
    tried = gpu(**FOUND)
    for name in ("fast", "simple", "reference"):
        monkeypatch.setenv("VITPROBE_GRAM", name)
        assert kernel() == name
    monkeypatch.setenv("VITPROBE_GRAM", "fast")
    assert kernel("f64") == "simple"
    monkeypatch.setenv("VITPROBE_GRAM", "faster")
    with pytest.raises(ValueError, match="VITPROBE_GRAM is"):
        kernel()
    monkeypatch.delenv("VITPROBE_GRAM")
    monkeypatch.setenv("VITPROBE_TUNE", "0")
    assert kernel() == kernel("bf16") == "simple"
    monkeypatch.setenv("VITPROBE_TUNE", "2")
    with pytest.raises(ValueError, match="VITPROBE_TUNE is 0, 1 or force, not '2'"):
        kernel()
    assert not tried


def test_force_tries_them_once_more_in_each_process(gpu, monkeypatch):
    tried = gpu(reference="right")
    kernel()
    choice._answers.clear()
    choice._picked.clear()
    monkeypatch.setenv("VITPROBE_TUNE", "force")
    kernel(), kernel("bf16"), kernel()
    assert [how["again"] for how in tried] == [False, True]


@pytest.fixture
def multiply():
    """Says how torch multiplies float32 on CUDA; the setting is put back."""
    settings = torch.backends.cuda.matmul
    before = settings.fp32_precision
    yield lambda products: setattr(settings, "fp32_precision", products)
    settings.fp32_precision = before


def test_how_torch_multiplies_float32_is_another_question(gpu, multiply):
    """The reference would err by what TF32 rounds."""
    tried = gpu(reference="right")
    for products, count in (("ieee", 1), ("tf32", 2), ("ieee", 2)):
        multiply(products)
        assert kernel() == "reference" and len(tried) == count


def test_huge_inputs_take_the_reference_only_where_nothing_else_is_right():
    def results(**seconds):
        return {name: Result(0.0, "", {"large": value}) for name, value in seconds.items()}

    found = results(reference=1.0, simple=3.0, fast=2.0)
    assert choice.pick(found, "large") == "reference"
    assert choice.pick(found, "huge") == "fast"
    found["fast"].why = found["simple"].why = "wrong"
    assert choice.pick(found, "huge") == "reference"
    assert choice.pick({}, "huge") == choice.pick(found, "small") == "reference"


def test_torch_compile_takes_the_answer_as_a_constant(gpu):
    gpu(reference="slow", simple="right")

    def function(x):
        return x + 1 if kernel() == "simple" else x - 1

    compiled = torch.compile(function, backend="eager", fullgraph=True)
    assert torch.equal(compiled(torch.ones(3)), torch.full((3,), 2.0))


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_operators_in_torch_compile(activations, precision):
    x = activations(20, 100)

    def function(x):
        v = ops.centered_grams([x, 2 * x], precision=precision)
        acc = torch.zeros(2, 2, dtype=torch.float64)
        return ops.hsic_accumulate_(acc, v, v) + ops.center_pack(ops.gram(x)).sum()

    compiled = torch.compile(function, backend="eager", fullgraph=True)
    assert torch.equal(compiled(x), function(x))


def test_every_operator_has_its_candidates_and_its_question():
    assert set(CANDIDATES) == set(KERNELS)
    asked = {each.name: each for each in choice.questions()}
    for operator, kernels in KERNELS.items():
        assert set(CANDIDATES[operator]) == {"reference", *kernels.names}
        for kind in kernels.types:
            assert tuple(asked[operator, kind].candidates) == kernels.of(kind)
    assert len(asked) == sum(len(kernels.types) for kernels in KERNELS.values())


def test_other_devices_are_not_tried(gpu, monkeypatch):
    tried = gpu(**FOUND)
    assert kernel(device=torch.device("cpu")) == "simple"
    monkeypatch.setattr(choice, "has_kernels", lambda device: False)
    for device in ("cpu", "meta", "cuda"):
        assert kernel(device=torch.device(device)) == "reference"
    assert not tried


def test_sizes():
    assert sizes.gram_size(64, 2048) == sizes.SMALL
    assert sizes.gram_size(256, 4096) == sizes.LARGE
    assert sizes.gram_size(257, 10) == sizes.MANY_ROWS
    assert sizes.gram_size(64, 100, 12) == sizes.TOGETHER
    assert sizes.gram_size(257, 100, 12) == sizes.MANY_ROWS
    assert sizes.gram_size(256, 1_000_000) == sizes.gram_size(512, 200_000) == sizes.HUGE
    assert sizes.packed_size(256 * 257 // 2) == sizes.SMALL
    assert sizes.packed_size(257 * 258 // 2) == sizes.LARGE
    assert sizes.hsic_size(67, 263, 2016) == sizes.SMALL
    assert sizes.hsic_size(330, 330, 8128) == sizes.LARGE
    assert sizes.attention_size(1, 12, 197) == sizes.SMALL
    assert sizes.attention_size(8, 12, 197) == sizes.LARGE
    assert sizes.attention_size(1, 12, 16384) == sizes.HUGE


def test_the_key_has_all_that_decides(monkeypatch, tmp_path):
    class Properties:
        major, minor, multi_processor_count = 9, 0, 132

    library = tmp_path / "_C_cuda.abi3.so"
    library.write_bytes(b"kernels")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: Properties)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "NVIDIA H200")
    monkeypatch.setattr(choice, "library_file", lambda name: library)
    monkeypatch.setattr(choice, "driver", lambda: "580.65.06, CUDA 13.0")
    here = choice.machine(1)
    assert (here.device, here.name, here.products) == ("cuda:1", "NVIDIA H200", "ieee")
    assert here.key["capability"] == "9.0" and here.key["driver"] == "580.65.06, CUDA 13.0"
    assert here.key["torch"] == torch.__version__ and len(here.key["library"]) == 64
    other = tmp_path / "other.so"
    other.write_bytes(b"other kernels")
    monkeypatch.setattr(choice, "library_file", lambda name: Path(other))
    assert choice.machine(1).key["library"] != here.key["library"]
