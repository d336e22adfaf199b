"""The few largest of all that was seen, with what is told of each: a state that merges."""

import torch
from torch import Tensor
from torchmetrics import Metric

EMPTY = (-torch.inf, -1.0)  # score and number of a row that holds nothing


def best(rows: Tensor, most: int) -> Tensor:
    """The `most` rows with the largest scores, each number once: (..., most, c) of (..., m, c).

    Column 0 holds scores, column 1 numbers, the others what is told beside them, all float64. Rows
    come in descending order; of equal scores the smaller number comes first. A row whose score is
    NaN or -inf is none; where there are too few, the rest are EMPTY and 0.
    """
    scores, numbers = rows[..., 0], rows[..., 1]
    scores = torch.where(scores.isnan(), -torch.inf, scores)
    order = scores.argsort(dim=-1, descending=True, stable=True)
    order = order.gather(-1, numbers.gather(-1, order).argsort(dim=-1, stable=True))
    scores, numbers = scores.gather(-1, order), numbers.gather(-1, order)
    # of the rows with one number the first has the largest score
    again = torch.nn.functional.pad(numbers[..., 1:] == numbers[..., :-1], (1, 0))
    scores = torch.where(again, -torch.inf, scores)
    last = scores.argsort(dim=-1, descending=True, stable=True)[..., :most]
    scores, order = scores.gather(-1, last), order.gather(-1, last)
    rows = rows.gather(-2, order[..., None].expand(*order.shape, rows.shape[-1]))
    rows = torch.where((scores == EMPTY[0])[..., None], empty(rows, rows.shape[-2]), rows)
    lacking = most - rows.shape[-2]
    return torch.cat([rows, empty(rows, lacking)], -2) if lacking else rows


def empty(like: Tensor, count: int) -> Tensor:
    """(..., count, c) rows that hold nothing, of the type and place of (..., m, c)."""
    rows = like.new_zeros(*like.shape[:-2], count, like.shape[-1])
    rows[..., 0], rows[..., 1] = EMPTY
    return rows


def best_of_parts(parts: Tensor) -> Tensor:
    """What `best` leaves of all parts together: (..., k, c) of (parts, ..., k, c).

    The reduction of a state whose parts meet so: in any order, in any groups, with the same bits.
    """
    rows = torch.cat(list(parts), -2)
    return best(rows, parts.shape[-2])


class Top(Metric):
    """The k examples with the largest scores, with what is told of each; at one or more places.

    Args:
        k: how many.
        columns: numbers of a row: score, number of the example, and what else is told.
        places: how many lists of k are kept beside each other; None: one, without that axis.

    Example:
        >>> metric = Top(2, columns=2)
        >>> metric.update(torch.tensor([[0.5, 7], [2.0, 3], [1.0, 9]], dtype=torch.float64))
        >>> metric.compute().tolist()
        [[2.0, 3.0], [1.0, 9.0]]
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(self, k: int, columns: int, places: int | None = None, **kwargs):
        super().__init__(**kwargs)
        shape = (k, columns) if places is None else (places, k, columns)
        rows = torch.zeros(shape, dtype=torch.float64)
        rows[..., 0], rows[..., 1] = EMPTY
        self.add_state("rows", rows, best_of_parts)

    def update(self, rows: Tensor) -> None:
        """Add (m, columns) float64, or (places, m, columns); no number twice at a place."""
        both = torch.cat([self.rows, rows.to(self.rows)], -2)
        self.rows = best(both, self.rows.shape[-2])

    def compute(self) -> Tensor:
        """(k, columns) or (places, k, columns) float64; see `best`."""
        return self.rows
