"""The analyses of `vitprobe paper`: which readers, and of which models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

from vitprobe.analyses.attention_reader import AttentionReader
from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.analyses.cka_views import LayerSpec
from vitprobe.analyses.dominant_reader import DominantReader
from vitprobe.analyses.head_subsets_reader import HeadSubsetsReader
from vitprobe.analyses.localization_reader import LocalizationReader
from vitprobe.analyses.probe_reader import ProbeReader
from vitprobe.analyses.receptive_field import EXAMPLES
from vitprobe.analyses.receptive_field_reader import ReceptiveFieldReader
from vitprobe.analyses.skips_reader import SkipsReader
from vitprobe.errors import InputError, unheard
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.reader import Batch, Reader
from vitprobe.passes.results import check_batches
from vitprobe.passes.surveyed import Surveyed
from vitprobe.passes.wants import InputsOf, OwnForward, Want

Groups = Callable[[int], list[tuple[int, ...]]]


def each(count: int) -> list[tuple[int, ...]]:
    """Every model by itself."""
    return [(k,) for k in range(count)]


def ordered_pairs(count: int) -> list[tuple[int, ...]]:
    """Every model beside every other."""
    return list(permutations(range(count), 2))


@dataclass(frozen=True)
class Asked:
    """One analysis: `make(layers)` is a new reader.

    groups: of so many models, which a reader is shown together; None: all of them. first: of how
    many examples at most, the first ones; of readers that make forwards of their own.
    """

    make: Callable[[LayerSpec], Reader]
    groups: Groups | None = each
    first: int | None = None


NULL = 200  # permutations, for the line of chance of CKA
ANALYSES = (
    Asked(lambda layers: CKAReader(layers, null=NULL), groups=None),
    Asked(lambda layers: AttentionReader()),
    Asked(lambda layers: HeadSubsetsReader(), groups=ordered_pairs),
    Asked(lambda layers: SkipsReader()),
    Asked(lambda layers: ReceptiveFieldReader(), first=EXAMPLES),
    Asked(lambda layers: LocalizationReader()),
    Asked(DominantReader),
    Asked(ProbeReader),
)


@dataclass
class Taken:
    """A reader that takes these models, given by their places, and what it wants of them.

    first: how many examples it is shown at most.
    """

    reader: Reader
    places: tuple[int, ...]
    first: int | None
    wants: Sequence[Want] = ()
    now: int = 0  # examples of the batch that comes which it is shown; 0: it does not hear of it

    @property
    def about(self) -> dict[str, Any]:
        """As JSON can hold it."""
        reader = self.reader
        return {"analysis": reader.analysis, "version": reader.version, "about": reader.about}

    def counts(self, batch: Batch, size: int | None) -> int:
        """How many examples of this batch it is shown; size: of a whole batch, None: not known."""
        if self.first is None:
            return batch.n
        before = batch.number * (self.first if size is None else size)
        return max(0, min(batch.n, self.first - before))

    def start(self, batch: Batch, size: int | None) -> tuple[int, bool]:
        """A batch comes; how many of its examples it is shown, and whether these are enough."""
        n = self.counts(batch, size)
        self.now = n if n >= self.reader.least else 0
        if self.now:
            labels = None if batch.labels is None else batch.labels[:n]
            index = None if batch.index is None else batch.index[:n]
            self.reader.start(Batch(batch.number, n, labels, index))
        return n, bool(self.now)

    def heard(self) -> list[Want]:
        """What it wants, given to it in the batches that count."""
        return [replace(want, take=self._taker(want)) for want in self.wants]

    def _taker(self, want: Want) -> Callable:
        if isinstance(want, InputsOf | OwnForward):

            def some(images) -> None:
                if self.now:
                    want.take(images[: self.now])

            return some

        def all_of_it(*found) -> None:
            if self.now:
                want.take(*found)

        return all_of_it


@dataclass(frozen=True)
class LeftOut:
    """What there is not, of which model ("": of any), and why."""

    analysis: str
    model: str
    reason: str


def taken(
    asked: Asked, layers: LayerSpec, models: Sequence[Surveyed], inputs: Inputs
) -> tuple[list[Taken], list[LeftOut]]:
    """The readers of one analysis that take these models, begun; and which models are left out."""
    groups = (asked.groups or (lambda count: [tuple(range(count))]))(len(models))
    if not groups:
        name = asked.make(layers).analysis
        return [], [LeftOut(name, "", "it compares two models, and one was given")]
    found, left_out = [], []
    for places in groups:
        one, why = _begun(asked, layers, places, models, inputs)
        if one is None and asked.groups is None and len(places) > 1:  # without those to blame
            reasons = {}
            for place in places:
                with unheard():
                    alone, reason = _begun(asked, layers, (place,), models, inputs)
                if alone is None:
                    reasons[place] = reason
            left_out += [_left_out(asked, layers, models[k], text) for k, text in reasons.items()]
            others = tuple(place for place in places if place not in reasons)
            one, why = _begun(asked, layers, others, models, inputs) if others else (None, "")
        if one is not None:
            found.append(one)
        elif why:
            left_out.append(_left_out(asked, layers, models[places[0]], why))
    return found, list(dict.fromkeys(left_out))


def of_models(inputs: Inputs, places: Sequence[int]) -> Inputs:
    """The inputs, as if these models had been given alone."""
    subjects = tuple(inputs.subjects[place] for place in places)
    return replace(inputs, subjects=subjects, places=tuple(range(len(places))))


def _left_out(asked: Asked, layers: LayerSpec, model: Surveyed, why: str) -> LeftOut:
    return LeftOut(asked.make(layers).analysis, model.subject.label, why)


def _begun(
    asked: Asked,
    layers: LayerSpec,
    places: tuple[int, ...],
    models: Sequence[Surveyed],
    inputs: Inputs,
) -> tuple[Taken | None, str]:
    """The reader, shown these models; or why it does not take them."""
    reader, notes = asked.make(layers), []
    own = of_models(inputs, places)
    for place in places:
        models[place].sites  # what fails here is no matter of the analysis  # noqa: B018
    try:
        check_batches(reader, inputs.loader)
        wants = reader.begin([models[place] for place in places], own, notes)
    except InputError as error:
        return None, str(error)
    planned = inputs.loader.examples
    first = asked.first if planned is None or planned > (asked.first or planned) else None
    reader.about |= {"facts": _facts(reader, own, first), "notes": notes}
    return Taken(reader, places, first, wants), ""


def _facts(reader: Reader, inputs: Inputs, first: int | None) -> list[dict[str, Any]]:
    """Those that the reader alone would have, shown the first examples."""
    facts = reader.facts(inputs)
    if first is None:
        return facts
    fewer = {"examples_planned": first, "examples_asked": first}
    size = inputs.loader.batch_size
    if size is not None:
        fewer["batch_size"] = min(size, first)
    return [each | fewer for each in facts]
