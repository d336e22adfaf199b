"""The k largest: as sorting all of them gives, in whatever parts they come."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitprobe.metrics.top import Top, best, best_of_parts


def rows(*pairs):
    return torch.tensor(pairs, dtype=torch.float64)


def test_the_largest_first_and_of_equal_ones_the_smaller_number():
    found = best(rows((1, 5), (3, 9), (3, 2), (-4, 1)), 3)
    assert found.tolist() == [[3, 2], [3, 9], [1, 5]]


def test_a_number_counts_once_with_its_largest_score():
    found = best(rows((1, 5), (2, 7), (3, 5), (0, 7)), 3)
    assert found.tolist() == [[3, 5], [2, 7], [-torch.inf, -1]]


def test_what_has_no_score_is_not_there():
    found = best(rows((torch.nan, 5, 8), (-torch.inf, 6, 8), (0, 7, 8)), 2)
    assert found.tolist() == [[0, 7, 8], [-torch.inf, -1, 0]]


def test_places_are_apart():
    metric = Top(1, columns=2, places=2)
    metric.update(torch.stack([rows((1, 0), (2, 1)), rows((4, 0), (3, 1))]))
    metric.update(torch.stack([rows((5, 2)), rows((0, 2))]))
    assert metric.compute().tolist() == [[[5, 2]], [[4, 0]]]


@pytest.mark.parametrize("most", [1, 3, 8])
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_in_any_parts_it_is_what_sorting_gives(data, most):
    scores = data.draw(st.lists(st.integers(-3, 3), min_size=1, max_size=20))
    table = rows(*((score, number, 10 * number) for number, score in enumerate(scores)))
    cuts = data.draw(st.lists(st.integers(0, len(scores)), max_size=3).map(sorted))
    order = data.draw(st.permutations(range(len(cuts) + 1)))
    metrics = []
    for part in torch.tensor_split(table, cuts):
        metrics.append(Top(most, columns=3))
        metrics[-1].update(part)
    parts = torch.stack([metrics[k].compute() for k in order])
    wanted = sorted(table.tolist(), key=lambda row: (-row[0], row[1]))[:most]
    found = best_of_parts(parts)
    assert found[: len(wanted)].tolist() == wanted
    assert torch.isinf(found[len(wanted) :, 0]).all()
    nested = parts[0]
    for part in parts[1:]:
        nested = best_of_parts(torch.stack([nested, part]))
    assert torch.equal(nested, found)
