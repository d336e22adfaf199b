"""What can be asked of probes, checked before anything runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vitprobe.errors import InputError, did_you_mean, option
from vitprobe.passes.provenance import as_attribute

SOLVERS = ("ridge", "logistic", "knn")
TOKENS = ("mean", "mean-all", "cls", "first", "each")
CONVENTIONS = ("big_vision",)
WIDTH = 2048  # features; what has more is projected
DRAWS = 5
NEIGHBOURS, TEMPERATURE = 20, 0.07


@dataclass(frozen=True, kw_only=True)
class ProbeOptions:
    """How probes are made; see `vitprobe.probe`.

    Raises:
        InputError: a word that there is none of, a number out of range, or options that do not go
            together.
    """

    tokens: str = "mean"
    pool: tuple[int, int] | None = None
    solver: str = "ridge"
    l2: float | Sequence[float] | None = None
    shots: int | None = None
    draws: int | None = None
    convention: str | None = None
    k: int | None = None
    temperature: float | None = None
    width: int = WIDTH

    def __post_init__(self):
        _one_of("tokens", self.tokens, TOKENS)
        _one_of("solver", self.solver, SOLVERS)
        if self.convention is not None:
            _one_of("convention", self.convention, CONVENTIONS)
        above = self.solver != "ridge"
        for l2 in self.l2s or ():
            if not math.isfinite(l2) or l2 < 0 or (above and l2 == 0):
                least = "above 0" if above else "of 0 or more"
                raise InputError(f"{option('l2')} takes penalties {least}, not {l2:g}")
        for name in ("shots", "draws", "k", "width"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{option(name)} takes a number from 1 on, not {value}")
        if self.temperature is not None and not self.temperature > 0:
            raise InputError(
                f"{option('temperature')} takes a number above 0, not {self.temperature:g}"
            )
        self._check_together()

    def _check_together(self) -> None:
        knn, few = self.solver == "knn", self.shots is not None
        if self.pool is not None:
            whole = len(self.pool) == 2 and all(isinstance(n, int) and n > 0 for n in self.pool)
            if not whole:
                raise InputError(f"{option('pool')} takes rows and columns such as 2x2")
            if self.tokens != "mean":
                raise InputError(f"{option('pool')} goes with {option('tokens', 'mean')} alone")
        for name, value, goes, other in (
            ("k", self.k, knn, option("solver", "knn")),
            ("temperature", self.temperature, knn, option("solver", "knn")),
            ("l2", self.l2, not knn, f"{option('solver', 'ridge')} or logistic"),
            ("draws", self.draws, few, f"{option('shots')}"),
            ("convention", self.convention, few and self.solver == "ridge",
             f"{option('shots')} and {option('solver', 'ridge')}"),
        ):  # fmt: skip
            if value is not None and not goes:
                raise InputError(f"{option(name)} goes with {other} alone")
        if self.convention and self.l2s and len(self.l2s) > 1:
            raise InputError(f"{option('convention', self.convention)} takes one {option('l2')}")

    @property
    def l2s(self) -> tuple[float, ...] | None:
        """The penalties that were given, ascending; None: those of the solver."""
        if self.l2 is None:
            return None
        given = (self.l2,) if isinstance(self.l2, int | float) else self.l2
        return tuple(sorted({float(l2) for l2 in given}))

    @property
    def chooses(self) -> bool:
        """Whether a penalty is chosen on images held out for that."""
        return self.solver != "knn" and not self.convention and len(self.l2s or (0, 0)) > 1

    @property
    def count_of_draws(self) -> int:
        """Of the training images; 0: all of them are trained on."""
        return 0 if self.shots is None else self.draws or DRAWS

    @property
    def asked(self) -> dict[str, Any]:
        """As attributes of a result; those that do not apply are left out, or empty."""
        found = {
            "tokens_asked": self.tokens,
            "pool": "x".join(map(str, self.pool or ())),
            "solver": self.solver,
            "l2_asked": as_attribute([f"{l2:g}" for l2 in self.l2s or ()]),
            "shots": self.shots or 0,
            "draws": self.count_of_draws,
            "convention": self.convention or "",
            "width_most": self.width,
        }
        if self.solver == "knn":
            found |= {
                "k": self.k or NEIGHBOURS,
                "temperature": self.temperature or TEMPERATURE,
            }
        return found


def _one_of(name: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        near = did_you_mean(str(value), known) or f": use {' or '.join(known)}"
        raise InputError(f"unknown {name} {value!r}{near}")
