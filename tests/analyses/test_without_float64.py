"""`--device mps`, on a stand-in that like it has no float64: see tests/without_float64.py."""

import json
from pathlib import Path

import forked
import pytest
import torch
from torch import nn

import vitprobe
from vitprobe.errors import InputError
from vitprobe.models import choose_device, device
from vitprobe.ops.wide import wide, wide_home

SCRIPT = Path(__file__).parents[1] / "without_float64_runs.py"
PASSES = ("cka", "rbf", "attention", "head_subsets", "localization", "receptive_field", "skips")
RUNS = (*PASSES, "maps", "train", "dense", "operators")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    pytest.importorskip("torch.utils.backend_registration")
    done = forked.python(SCRIPT, tmp_path_factory.mktemp("trained"))
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("what", RUNS)
def test_numbers_are_those_of_the_cpu(report, what):
    apart, operators = report["runs"][what]
    assert operators >= 10 or what == "operators"  # they did run there
    # of the largest value: float32 rounds otherwise than the kernels do, and exp makes it more
    assert apart < (1e-4 if what == "rbf" else 1e-5)


def test_the_stand_in_keeps_its_rules(report):
    float64, between = "standin has no float64", "tensors on standin and on cpu"
    assert [text.partition(": ")[2] for text in report["refused"]] == [float64] * 3 + [between]


def test_float64_is_on_the_cpu_where_the_device_has_none():
    assert wide_home(torch.device("mps", 0)) == torch.device("cpu")
    assert wide_home(torch.device("cuda", 1)) == torch.device("cuda", 1)
    assert wide(torch.ones(2, dtype=torch.bfloat16)).dtype == torch.float64


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is one")
def test_a_machine_without_one():
    with pytest.raises(InputError, match="no Apple GPU .mps. on this machine: use --device cpu"):
        vitprobe.cka("vit", device="mps")


def test_a_model_in_float64_cannot_go_there(monkeypatch):
    monkeypatch.setattr(device, "apple_gpu", lambda: torch.device("mps", 0))
    assert choose_device("mps") == choose_device("mps:0") == torch.device("mps", 0)
    assert choose_device("mps", [nn.Linear(2, 2)]).type == "mps"
    with pytest.raises(InputError, match="the model is float64"):
        choose_device("mps", [nn.Linear(2, 2).double()])


def test_it_is_not_chosen_by_itself(monkeypatch):
    monkeypatch.setattr(device, "apple_gpu", lambda: torch.device("mps", 0))
    assert choose_device("auto").type in ("cpu", "cuda")
