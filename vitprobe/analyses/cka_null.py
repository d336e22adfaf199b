"""What CKA is by chance: its variables beside those of a result, out of permuted sums."""

from typing import Any

import torch
import xarray as xr
from torch import Tensor

from vitprobe.analyses.cka_result import PairLayers
from vitprobe.errors import InputError, option
from vitprobe.metrics import CKA
from vitprobe.metrics.null import Calibration, PermutedSums, calibrated

ALPHA = 0.05
LEAST = 19  # permutations: with fewer no value can be above the line
_ROWS = 32  # layers of a at a time
_WORDS = {
    "null_mean": "mean of cka with examples permuted",
    "null_line": "cka that chance exceeds in 5 % of cases",
    "p_value": "add-one p-value of cka by permutation",
    "calibrated": "(cka - null_line) / (1 - null_line), within 0 and 1",
}
_WHOSE = {
    "_best_a": "of the largest cka of each layer of a",
    "_best_b": "of the largest cka of each layer of b",
    "_best": "of the largest cka of all pairs",
}


def check_replicates(count: int) -> None:
    """Raises InputError for fewer permutations than a line needs."""
    if count < LEAST:
        raise InputError(
            f"{option('null', count)}: at least {LEAST} permutations are needed for a line that "
            f"chance exceeds in 5 % of cases ({option('null', 200)})"
        )


class WithNull:
    """Stands where `SiteVectors` has a `metrics.CKA`: what that is given the null is given first,
    while it is whole."""

    def __init__(self, cka: CKA, null: PermutedSums):
        self.device, self.vector_length = cka.device, cka.vector_length
        self.reduce_, self.noise_of = cka.reduce_, cka.noise_of
        self._cka, self._null = cka, null

    def update_vectors(self, vectors: Tensor, noise: Tensor, n: int, batch: int) -> None:
        """As `CKA.update_vectors`."""
        self._null.update(vectors, None, n, batch)
        self._cka.update_vectors(vectors, noise, n, batch)


def null_variables(
    result: xr.Dataset, a: PairLayers, b: PairLayers, norms: Tensor, null: PermutedSums
) -> xr.Dataset:
    """The result with `null_mean`, `null_line`, `p_value` and `calibrated` of every pair.

    And lines and p-values of the largest of many, `null_line_best_a` (layer_a), `p_value_best_b`
    (layer_b), `p_value_best` (), ..: in each replicate the maximum over the row, the column, the
    matrix. A layer with itself is nobody's best match.

    Args:
        result: of `pair_dataset`.
        norms: (rows of the metric,) float64, `CKA.norms`.
        null: of all rows with themselves.
    """
    observed = torch.from_numpy(result["cka"].values)
    norms = norms.cpu()
    same = torch.tensor(a.rows)[:, None] == torch.tensor(b.rows)
    cells, of_a = [], []
    of_b = torch.full((null.replicates, len(b.rows)), -torch.inf, dtype=torch.float64)
    for start in range(0, len(a.rows), _ROWS):
        some = slice(start, start + _ROWS)
        scale = torch.outer(norms[a.rows[some]], norms[b.rows])
        values = null.pair(a.rows[some], b.rows).cpu().div_(scale)
        cells.append(calibrated(observed[some], values, ALPHA))
        values = values.nan_to_num_(nan=-torch.inf).masked_fill_(same[some], -torch.inf)
        of_a.append(values.amax(2))
        of_b = torch.maximum(of_b, values.amax(1))
    matches = observed.nan_to_num(nan=-torch.inf).masked_fill(same, -torch.inf)
    of_a = torch.cat(of_a, dim=1)
    best = {
        "_best_a": (("layer_a",), matches.amax(1), of_a),
        "_best_b": (("layer_b",), matches.amax(0), of_b),
        "_best": ((), matches.amax(), of_a.amax(1)),
    }
    cell = Calibration(*map(torch.cat, zip(*cells, strict=True)))
    of_cells = zip(_WORDS, cell, strict=True)
    variables = {name: (result["cka"].dims, values, _WORDS[name]) for name, values in of_cells}
    for name, (dims, *both) in best.items():
        found = calibrated(*map(_finite, both), ALPHA)
        whose = _WHOSE[name]
        variables[f"null_line{name}"] = dims, found.line, f"{_WORDS['null_line']}, {whose}"
        variables[f"p_value{name}"] = dims, found.p_value, f"{_WORDS['p_value']}, {whose}"
    return result.assign(
        {
            name: (dims, values.numpy(), {"long_name": words})
            for name, (dims, values, words) in variables.items()
        }
    )


def null_facts(replicates: int | None) -> dict[str, Any]:
    """What of it decides the numbers, as attributes; nothing where it was not asked for."""
    if replicates is None:
        return {}
    return {"null_replicates": replicates, "null_alpha": ALPHA}


def _finite(values: Tensor) -> Tensor:
    return torch.where(values.isfinite(), values, torch.nan)
