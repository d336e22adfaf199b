"""Similarity of two arrays of the same examples, by any of the measures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, overload

from vitprobe.errors import InputError
from vitprobe.measures.given import Given, NoValue, given
from vitprobe.measures.table import MEASURES, Chosen, chosen


@overload
def similarity(x: Any, y: Any, measure: str = "cka", **options: Any) -> float: ...
@overload
def similarity(
    x: Any, y: Any, measure: list[str] | tuple[str, ...], **options: Any
) -> dict[str, float]: ...
def similarity(
    x: Any, y: Any, measure: str | Sequence[str] = "cka", **options: Any
) -> float | dict[str, float]:
    """How alike two representations of the same n examples are.

    >>> vitprobe.similarity(x, y)                                        # unbiased CKA
    >>> vitprobe.similarity(x, y, "rsa", correlation="spearman")
    >>> vitprobe.similarity(x, y, ["cka", "procrustes", "mutual_knn:5"])

    Args:
        x: (n, p) numbers, NumPy or torch; computed in float64, on the device that it is on.
        y: (n, q), the same examples in the same order.
        measure: a name, or a list of them; options may follow it in their order
            (`rsa:euclidean:spearman`):
            `cka` (unbiased), `cka_biased`; `cka_rbf` (`fraction` 0.5, `estimator`);
            `rsa` (`distance` euclidean, squared_euclidean, correlation, cosine; `correlation`
            pearson, spearman, kendall, cosine); `nbs` (`form` similarity, angle); `procrustes`
            (`form` squared, root); `gulp` (`regularisation` 1, `scale` given, unit); `cca` (`form`
            mean, mean_square); `svcca` (`dimensions`, below 1 a share of the variance, 0.99;
            `form`); `pwcca` (`weights` x, y); `mutual_knn` (`k` 10, `by` cosine, dot, euclidean);
            `cknna` (`k` 10, `by` cosine, dot; `epsilon` 0).
        options: by name; of a list each measure takes those that it has.

    Returns:
        The value, never clamped to what a similarity should be; of a list a dict by name as given.
        `procrustes`, `gulp` and `nbs:angle` are distances. Sources and what each is invariant to:
        docs/measures.md.

    Raises:
        InputError: an unknown measure or option; arrays that do not fit each other, hold NaN or
            too few examples; no value: constant features, or no fewer features than examples for
            CCA.
    """
    asked = [measure] if isinstance(measure, str) else list(measure)
    found = _chosen(asked, options)
    a, b = given(x, "x"), given(y, "y")
    if len(a.x) != len(b.x):
        raise InputError(
            f"x has {len(a.x)} examples, y {len(b.x)}: both take a row for each of the same ones"
        )
    if a.x.device != b.x.device:
        raise InputError(f"x is on {a.x.device}, y on {b.x.device}: bring them to one device")
    values = [_value(each, a, b) for each in found]
    return values[0] if isinstance(measure, str) else dict(zip(asked, values, strict=True))


def _chosen(asked: Sequence[str], options: Mapping[str, Any]) -> list[Chosen]:
    if not asked:
        raise InputError(f"no measure was named: {', '.join(MEASURES)}")
    if len(asked) == 1:
        return [chosen(asked[0], options)]
    names = [each.partition(":")[0] if isinstance(each, str) else "" for each in asked]
    known = [MEASURES[name].options if name in MEASURES else {} for name in names]
    for option in options:
        if not any(option in each for each in known):
            raise InputError(f"none of {', '.join(names)} has an option {option!r}")
    return [
        chosen(each, {name: value for name, value in options.items() if name in own})
        for each, own in zip(asked, known, strict=True)
    ]


def _value(measure: Chosen, a: Given, b: Given) -> float:
    if len(a.x) < measure.least:
        raise InputError(f"{measure.spec} needs {measure.least} examples or more, not {len(a.x)}")
    prepared = []
    for name, each in (("x", a), ("y", b)):
        try:
            prepared.append(measure.prepare(each))
        except NoValue as error:
            raise InputError(f"{measure.spec} has no value: {name}: {error}") from None
    value = measure.compare(*prepared)
    if math.isnan(value):
        raise InputError(f"{measure.spec} has no value of these two arrays")
    return value
