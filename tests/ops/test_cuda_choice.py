"""On a GPU: every kernel is found right in time, and the first use may be inside a capture."""

import time

import pytest
import torch
from on_cuda import activations, error, exact, limit

from vitprobe import ops
from vitprobe.ops import choice, reference
from vitprobe.ops.proof.run import Limits, prove

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU"),
    pytest.mark.usefixtures("cuda_kernels"),
]


@pytest.fixture
def untried(monkeypatch, tmp_path):
    """As in the first process on a machine."""
    for variable in ("VITPROBE_GRAM", "VITPROBE_HSIC", "VITPROBE_ATTENTION", "VITPROBE_TUNE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(choice, "_answers", {})
    monkeypatch.setattr(choice, "_picked", {})


def test_every_candidate_is_right_and_answers_in_time():
    here, began = choice.machine(0), time.monotonic()
    proof = prove(choice.questions(), here.device, Limits(), name=here.name, products=here.products)
    taken = time.monotonic() - began
    wrong = {
        (*question, name): result.why
        for question, results in proof.answers.items()
        for name, result in results.items()
        if result.why
    }
    assert not proof.why and not wrong, f"after {taken:.1f} s"


def test_the_first_use_may_be_inside_a_capture(untried, capfd):
    x = activations(64, 2000)
    vector = torch.empty(64 * 63 // 2, device=x.device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        vector.copy_(ops.centered_gram(x))
    assert capfd.readouterr().err.count("its kernels are tried") == 1
    graph.replay()
    assert error(vector, reference.centered_gram(exact(x))) < limit(x.dtype)
    assert {each.operator for each in choice.choices(0)} == set(choice.KERNELS)
    again = ops.centered_gram(x)
    assert error(again, reference.centered_gram(exact(x))) < limit(x.dtype)
    assert not capfd.readouterr().err
