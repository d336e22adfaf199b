"""What subsets of heads show: whether local or global heads are like another model's first
layers."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from vitprobe.analyses.findings.finding import Finding, Number, Question, compared

QUESTION = Question("are local heads like the first layers of another model?", "Fig. 5")


def findings(results: Sequence[xr.Dataset]) -> list[Finding]:
    """Of each pair: the most local heads against as many of the most global ones."""
    return [found for result in results for found in _of_pair(result)]


def _of_pair(result: xr.Dataset) -> list[Finding]:
    attrs, heads = result.attrs, result.sizes["head"]
    sizes = result["size"].values
    apart = sizes[sizes <= heads // 2]  # a head is in one of the two subsets alone
    distance = result["distance"].values
    if not len(apart) or np.isnan(distance).any():
        return []
    size = int(apart.max())
    rows = np.flatnonzero(sizes == size)
    local, far = rows[np.argmin(distance[rows])], rows[np.argmax(distance[rows])]
    both = [
        Number.mean(result["cka"].values[row], result["cka_se"].values[row]) for row in (local, far)
    ]
    names = [str(name) for name in result["layer"].values]
    layers = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    heads_of = f"of {attrs['layer_a']} of {attrs['model_a']}"
    if size == 1:
        subject, is_are, rest = f"the most local head {heads_of}", "is", "the most global one"
    else:
        subject, is_are = f"the {size} most local heads {heads_of}", "are"
        rest = f"the {size} most global ones"

    def said(word: str) -> str:
        return (
            f"{subject} ({distance[local]:.1f} px) {is_are} {word} like {layers} of "
            f"{attrs['model_b']} than {rest} ({distance[far]:.1f} px)"
        )

    return [
        compared(
            QUESTION,
            (attrs["model_a"], attrs["model_b"]),
            *both,
            attrs["se_df"],
            more=said("more"),
            less=said("less"),
            whether=said("more"),
            name="mean CKA",
        )
    ]
