"""The inputs that kernels are tried on: the CPU's kernel and the reference are right on all."""

import pytest
import torch

from vitprobe.ops import sizes
from vitprobe.ops.candidates import CANDIDATES
from vitprobe.ops.library import why_no_cpu
from vitprobe.ops.proof import cases
from vitprobe.ops.variants import KERNELS

CPU = torch.device("cpu")
GRAMS = {sizes.SMALL, sizes.LARGE, sizes.MANY_ROWS}
TIMED = {
    "gram": GRAMS,
    "center_pack": {sizes.SMALL, sizes.LARGE},
    "centered_gram": GRAMS,
    "centered_grams": GRAMS | {sizes.TOGETHER},
    "hsic_accumulate_": {sizes.SMALL, sizes.LARGE},
    "attention_statistics": {sizes.SMALL, sizes.LARGE},
}


def size_of(operator, arguments):
    """The class that these arguments are of when the operator is called."""
    first = arguments[0]
    if operator == "center_pack":
        return sizes.packed_size(first.numel())
    if operator == "hsic_accumulate_":
        return sizes.hsic_size(*first.shape, arguments[1].shape[1])
    if operator == "attention_statistics":
        return sizes.attention_size(*first.shape[:3])
    xs = first if operator == "centered_grams" else [first]
    return sizes.gram_size(xs[0].shape[0], xs[0][0].numel(), len(xs))


def disturbed(output):
    """One number of the result changed, by a hundredth of the largest."""
    first = output[0] if isinstance(output, tuple) else output
    first.view(-1)[-1] += max(first.abs().max().item(), 1) / 100
    return output


@pytest.mark.skipif(bool(why_no_cpu()), reason="the CPU kernels are not built")
@pytest.mark.parametrize("operator", KERNELS)
def test_right_results_pass_and_a_disturbed_number_does_not(operator):
    for kind in {"f32", "f64", KERNELS[operator].types[-2]}:
        timed = set()
        for case in getattr(cases, operator)(kind, CPU):
            for name in ("reference", "simple"):
                output = CANDIDATES[operator][name](*case.arguments())
                assert case.error(output) <= case.limit, (kind, case.what, name)
            assert case.error(disturbed(output)) > case.limit, (kind, case.what)
            if case.size:
                assert size_of(operator, case.arguments()) == case.size
                timed.add(case.size)
        assert timed == TIMED[operator]


def test_rows_of_any_alignment_are_among_them():
    rows = [case.arguments()[0] for case in cases.gram("bf16", CPU)]
    aligned = [x.data_ptr() % 16 == 0 and x.stride(0) * x.element_size() % 16 == 0 for x in rows]
    assert any(aligned) and not all(aligned)
    assert {x.shape[0] > 256 for x in rows} == {True, False}
