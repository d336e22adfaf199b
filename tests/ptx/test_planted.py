"""Faults planted in the kernels, one at a time, are found: tests of the tool itself."""

import re
import shutil

import numpy as np
import pytest
import whole_attention
from whole_grams import activations, centred64, gram64, relative_error, stored

from ptx.build import CSRC, build
from ptx.device import Module
from ptx.fault import Fault
from ptx.interpreted import Interpreted


def gram_fast(run):
    x, values = stored(activations(64, 700, 0, 6.0), "bf16")
    [vector] = run.call("centered_gram_fast", run.tensor(x, "bf16"), False, False)
    return relative_error(run.array(vector), centred64(gram64(values), False))


def attention_fast(run):
    own, wide = whole_attention.as_stored(whole_attention.case(1, 1, 1, 64, (12, 12), 1, 0), "bf16")
    statistics, row = run.call(
        "attention_statistics_fast", run.tensor(own.q, "bf16"), run.tensor(own.k, "bf16"),
        float(own.scale), *own.grid, own.prefix, None, 16.0, 16.0, True,
    )  # fmt: skip
    wanted, wanted_row = whole_attention.statistics64(wide)
    return max(
        np.abs(run.array(statistics) - wanted).max() / 200,
        np.abs(run.array(row) - wanted_row).max(),
    )


def hsic(run):
    a = activations(5, 101, 1, gap=3)  # rows of whole quads, the last one not full
    acc = run.tensor(np.zeros((5, 5)), "f64", write=True)
    run.call("hsic_accumulate_fast_", acc, run.tensor(a, "f32"), run.tensor(a.copy(), "f32"))
    found, a = run.device.array(acc.address, (5, 5), np.float64), a.astype(np.float64)
    return relative_error(found, a @ a.T)


TASKS = {
    "GramSplit": gram_fast,
    "AttentionTile": attention_fast,
    "ClassRow": attention_fast,
    "SplitProduct": hsic,
}


@pytest.fixture
def changed(run):
    """changed(kernel, edit) -> how its task ends with the edited PTX: its error, or a Fault."""
    kept = []

    def task_with(kernel, edit):
        run.device.clear()
        run.num_sms = 1
        before = len(run.device.launches)
        assert TASKS[kernel](run) < 2e-6
        name = next(name for name, _ in run.device.launches[before:] if kernel in name)
        module = next(module for module in run.modules if name in module.entries)
        kept.append((module, name, module.entries[name], module.program(name)))
        edited = edit(module.entries[name])
        assert edited != module.entries[name]
        _put(module, name, edited)
        run.device.clear()
        try:
            return TASKS[kernel](run)
        except Fault as fault:
            return fault
        finally:
            _put(module, name, kept[-1][2], kept[-1][3])

    return task_with


def _put(module: Module, name, text, program=None):
    module.entries[name] = text
    module._programs.pop(name)
    if program is not None:
        module._programs[name] = program


def without(pattern, which, put=""):
    """An edit: takes out one of the instructions that match."""

    def edit(text):
        matches = list(re.finditer(pattern, text))
        place = matches[which]
        return text[: place.start()] + put + text[place.end() :]

    return edit


@pytest.mark.parametrize("kernel", TASKS)
def test_a_missing_barrier_is_a_race(changed, kernel):
    """Each in its turn; those behind all that is shared part nothing."""
    seen = []
    for which in range(20):
        try:
            seen.append(changed(kernel, without(r"bar\.sync[^;]*;", which)))
        except IndexError:
            break
    while not isinstance(seen[-1], Fault):
        assert seen.pop() < 2e-6
    assert len(seen) >= 2
    for fault in seen:
        assert isinstance(fault, Fault), f"{kernel}: a barrier that nothing needs"
        assert re.search(r"nothing orders|no wait has brought|nothing wrote", str(fault))
        assert re.match(r"cuda/\w+/\w+\.\w+:\d+: ", str(fault))


@pytest.mark.parametrize("kernel", ["GramSplit", "AttentionTile"])
@pytest.mark.parametrize("put", ["", "cp.async.wait_group 5;"])
def test_a_missing_wait(changed, kernel, put):
    fault = changed(kernel, without(r"cp\.async\.wait_group[^;]*;", -1, put))
    assert "no wait has brought" in str(fault) and isinstance(fault, Fault)


def test_a_copy_that_is_never_made(changed):
    fault = changed("AttentionTile", without(r"cp\.async\.cg[^;]*;", 0, "membar.cta;"))
    assert isinstance(fault, Fault) or fault > 1e-3 or np.isnan(fault)


def test_a_missing_store_leaves_what_nothing_wrote(changed):
    fault = changed("SplitProduct", without(r"st\.shared[^;]*;", 0))
    assert "reads what nothing wrote" in str(fault)


@pytest.mark.parametrize("kernel", ["GramSplit", "AttentionTile"])
def test_swapped_fragments_give_wrong_numbers(changed, kernel):
    def edit(text):  # the first two registers of A, in every mma
        return re.sub(r"(mma\.sync\S+\s+\{[^}]*\},\s*\{)(%r\d+),\s*(%r\d+)", r"\1\3, \2", text)

    assert changed(kernel, edit) > 1e-3


# ---- in the source


EDITS = {
    "a row too many is read": ("split.h", "place.row >= from.rows", "place.row > from.rows"),
    "a quad goes past its row": ("split.h", "place.k + 4 <= left", "place.k < left"),
    "workspace is one too small": ("launcher.cpp", "plan.partials(), S", "plan.partials() - 1, S"),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_index_off_by_one(nvcc, tmp_path, what):
    name, right, wrong = EDITS[what]
    shutil.copytree(CSRC, tmp_path / "csrc")
    file = tmp_path / "csrc/cuda/hsic" / name
    text = file.read_text()
    assert text.count(right) == 1, f"{name} has changed: {right}"
    file.write_text(text.replace(right, wrong))
    run = Interpreted(build(nvcc, tmp_path, tmp_path / "csrc", only="cuda/hsic"))
    with pytest.raises(Fault, match=r"^cuda/hsic/split\.h:\d+: global memory: out of bounds"):
        hsic(run)
