"""`attention_statistics` against torch computing the same four numbers from the softmax, whose
attention matrix it holds; seconds and memory. 197 tokens are those of a ViT of 16-pixel patches."""

from pathlib import Path

import pytest
import torch
from attention_ways import WAYS, Problem, peak
from interleave import interleave, quartiles

from vitprobe import ops

MAIN, LARGE = Problem(8, 12, 14, 14, 64), Problem(1, 12, 64, 64, 64)
COMPARED = {  # rounds
    MAIN: 40,
    MAIN._replace(dtype=torch.bfloat16): 40,
    Problem(8, 3, 8, 8, 64): 100,
    Problem(1, 12, 32, 32, 64): 15,
}


def is_right(problem):
    """The operator against the reference in float64."""
    q, k = problem.queries_and_keys()[:, :1].double()
    statistics, _ = ops.reference_attention.attention_statistics(
        *(q, k, problem.depth**-0.5, problem.rows, problem.columns, 1, None, 16.0, 16.0, False)
    )
    for name, way in WAYS.items():
        bound = 1e-5 if name == "attention_statistics" else 1e-2  # torch's bfloat16 scores
        for result, expected in zip(way(problem)(), statistics[:4], strict=True):
            torch.testing.assert_close(result[:1].double(), expected, rtol=bound, atol=0)
    return True


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("problem", COMPARED, ids=lambda problem: problem.name)
def test_attention_statistics(benchmark, name, problem):
    benchmark.group = f"attention_statistics {problem.name}"
    benchmark.name = name
    benchmark.pedantic(WAYS[name](problem), rounds=10, warmup_rounds=2)


@pytest.mark.parametrize("problem", COMPARED, ids=lambda problem: problem.name)
def test_against_the_softmax(compared, rounds, problem):
    """The two in turns: what another process takes away, it takes from both."""
    assert is_right(problem)
    ways = {name: way(problem) for name, way in WAYS.items()}
    seconds = interleave(ways, rounds(COMPARED[problem]), warm_up=3)
    theirs, ours = seconds.values()
    compared(
        table="attention_statistics against torch, from the softmax",
        name=problem.name,
        unit="ms",
        rounds=len(ours),
        values={name: quartiles(each, 1e3) for name, each in seconds.items()},
        ratio_of="times faster",
        ratio=quartiles([their / our for their, our in zip(theirs, ours, strict=True)]),
        target=">= 2.5" if problem == MAIN else "",
    )


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are read on Linux only")
def test_peak_memory(compared, rounds):
    values = {name: [peak(name, LARGE) for _ in range(rounds(3))] for name in WAYS}
    theirs, ours = values.values()
    compared(
        table="Memory of attention statistics, above q and k",
        name=LARGE.name,
        unit="MB",
        rounds=len(ours),
        values={name: quartiles(each) for name, each in values.items()},
        ratio_of="times less",
        ratio=quartiles([their / our for their, our in zip(theirs, ours, strict=True)]),
        target="< 50 MB",
    )
