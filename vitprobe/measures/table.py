"""The measures by name: their options, and how each prepares an array and compares two."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vitprobe.errors import InputError, did_you_mean
from vitprobe.measures import cca, cka, gulp, neighbours, procrustes, rsa
from vitprobe.measures.given import Given


@dataclass(frozen=True)
class Option:
    """default: its type is the type of all values. words: those there are, or () for numbers.
    least: of numbers; over: they are above it."""

    default: Any
    words: tuple[str, ...] = ()
    least: float = 0
    over: bool = False

    def read(self, measure: str, name: str, value: Any) -> Any:
        """The value, of a text or as it is.

        Raises:
            InputError: there is no such value.
        """
        if self.words:
            if value not in self.words:
                raise InputError(
                    f"{measure} has no {name} {value!r}: {', '.join(self.words)}"
                    f"{did_you_mean(str(value), self.words)}"
                )
            return value
        kind = type(self.default)
        try:
            number = kind(value)
            fine = number == float(value) and self.least <= number < float("inf")
        except (TypeError, ValueError, OverflowError):
            fine = False
        if not fine or isinstance(value, bool) or (self.over and number == self.least):
            what = "a whole number" if kind is int else "a number"
            bound = f"above {self.least:g}" if self.over else f"of {self.least:g} or more"
            raise InputError(f"{measure} takes {what} {bound} for {name}, not {value!r}")
        return number


@dataclass(frozen=True)
class Measure:
    """prepare(x, **options) of each array, then compare(a, b, **options) of what it gives.

    least: examples, with some options. distance: whether less is closer.
    """

    title: str
    prepare: Callable[..., Any]
    compare: Callable[..., float]
    options: Mapping[str, Option] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)  # for `prepare`
    least: Callable[[Mapping[str, Any]], int] = lambda options: 2
    distance: Callable[[Mapping[str, Any]], bool] = lambda options: False


_ESTIMATOR = Option("unbiased", ("unbiased", "biased"))
_FORM = Option("mean", ("mean", "mean_square"))
_NEAR = {"k": Option(10, least=1)}


def _four(options: Mapping[str, Any]) -> int:
    return 4 if options.get("estimator", "unbiased") == "unbiased" else 2


def _with(function: Callable, *names: str) -> Callable:
    return lambda x, **options: function(x, **{name: options[name] for name in names})


MEASURES: dict[str, Measure] = {
    "cka": Measure(
        "CKA", cka.linear, lambda a, b: cka.aligned(a, b), fixed={"estimator": "unbiased"},
        least=_four,
    ),
    "cka_biased": Measure(
        "biased CKA", cka.linear, lambda a, b: cka.aligned(a, b), fixed={"estimator": "biased"},
    ),
    "cka_rbf": Measure(
        "CKA, Gaussian kernel", cka.gaussian, lambda a, b, **_: cka.aligned(a, b),
        {"fraction": Option(0.5, over=True), "estimator": _ESTIMATOR}, least=_four,
    ),
    "rsa": Measure(
        "RSA", rsa.prepare, rsa.correlated,
        {
            "distance": Option("euclidean", rsa.DISTANCES),
            "correlation": Option("pearson", rsa.CORRELATIONS),
        },
        least=lambda options: 3,
    ),
    "nbs": Measure(
        "NBS", _with(procrustes.factor), procrustes.nbs,
        {"form": Option("similarity", ("similarity", "angle"))},
        distance=lambda options: options["form"] == "angle",
    ),
    "procrustes": Measure(
        "Procrustes distance", _with(procrustes.factor), procrustes.procrustes,
        {"form": Option("squared", ("squared", "root"))}, distance=lambda options: True,
    ),
    "gulp": Measure(
        "GULP distance", gulp.prepare, gulp.distance,
        {"regularisation": Option(1.0), "scale": Option("given", ("given", "unit"))},
        distance=lambda options: True,
    ),
    "cca": Measure("CCA", _with(cca.subspace), cca.cca, {"form": _FORM}),
    "svcca": Measure(
        "SVCCA", _with(cca.main_subspace, "dimensions"), cca.cca,
        {"dimensions": Option(0.99, over=True), "form": _FORM},
    ),
    "pwcca": Measure(
        "PWCCA", _with(cca.weighed), cca.pwcca, {"weights": Option("x", ("x", "y"))},
    ),
    "mutual_knn": Measure(
        "mutual kNN", neighbours.nearest, neighbours.mutual,
        _NEAR | {"by": Option("cosine", neighbours.WAYS)},
        least=lambda options: options["k"] + 1,
    ),
    "cknna": Measure(
        "CKNNA", neighbours.neighbourhoods, neighbours.cknna,
        _NEAR | {"by": Option("cosine", neighbours.WAYS[:2]), "epsilon": Option(0.0)},
        least=lambda options: max(4, options["k"] + 1),
    ),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Chosen:
    """A measure with a value for each of its options. spec: as it was asked for."""

    spec: str
    name: str
    options: Mapping[str, Any]

    @property
    def measure(self) -> Measure:
        """What it is."""
        return MEASURES[self.name]

    @property
    def key(self) -> str:
        """As the name of a variable: `rsa_euclidean_spearman`."""
        return self.spec.replace(":", "_")

    @property
    def distance(self) -> bool:
        """Whether less is closer."""
        return self.measure.distance(self.options)

    @property
    def least(self) -> int:
        """The fewest examples."""
        return self.measure.least(self.options)

    def prepare(self, x: Given) -> Any:
        """Of one array what `compare` takes.

        Raises:
            NoValue: it has none.
        """
        return self.measure.prepare(x, **self.measure.fixed, **self.options)

    def compare(self, a: Any, b: Any) -> float:
        """Of two that were prepared."""
        return self.measure.compare(a, b, **self.options)


def chosen(spec: str, options: Mapping[str, Any] | None = None) -> Chosen:
    """`rsa`, or with options in their order `rsa:euclidean:spearman`, `mutual_knn:5`.

    options: by name instead; those of the spec may not be among them.

    Raises:
        InputError: no such measure, option or value.
    """
    options = options or {}
    if not isinstance(spec, str):
        raise InputError(f"a measure is named by a text such as 'rsa', not {spec!r}")
    name, *words = spec.strip().split(":")
    if name not in MEASURES:
        raise InputError(
            f"no measure {name!r}: {', '.join(MEASURES)}{did_you_mean(name, MEASURES)}"
        )
    known = MEASURES[name].options
    if len(words) > len(known):
        raise InputError(f"{spec!r} has more than {name} takes: {_form(name)}")
    given = dict(zip(known, words, strict=False))
    for option in options:
        if option not in known:
            near = did_you_mean(option, known)
            raise InputError(f"{name} has no option {option!r}: {_form(name)}{near}")
        if option in given:
            raise InputError(f"{option} of {name} is given twice, in {spec!r} and by name")
    values = {option: known[option].default for option in known}
    for option, value in (given | dict(options)).items():
        values[option] = known[option].read(name, option, value)
    return Chosen(spec.strip(), name, values)


def chosen_list(specs: str | Sequence[str]) -> list[Chosen]:
    """Several, each once, in order; a text may hold commas.

    Raises:
        InputError: none, or what `chosen` refuses.
    """
    words = specs.split(",") if isinstance(specs, str) else list(specs)
    if not words:
        raise InputError(f"no measure was named: {', '.join(MEASURES)}")
    return list({each.key: each for each in map(chosen, words)}.values())


def _form(name: str) -> str:
    """`rsa[:distance[:correlation]]`."""
    options = MEASURES[name].options
    return name + "".join(f"[:{each}" for each in options) + "]" * len(options)
