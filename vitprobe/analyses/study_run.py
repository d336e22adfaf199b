"""A study of models of several sizes, or trained on parts of the data: trained, then looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import xarray as xr

from vitprobe.analyses.compare_training import study_facts, trained
from vitprobe.analyses.study_look import FACTS, Looked, forget, look
from vitprobe.analyses.study_result import Match, Member, with_looks
from vitprobe.errors import InputError, option
from vitprobe.files import expanded
from vitprobe.input_options import InputOptions
from vitprobe.models.spec import parse_spec
from vitprobe.passes.provenance import as_attribute, run_attributes
from vitprobe.training.study import Study, short_names
from vitprobe.training.study_runs import Train, test_images

Groups = Callable[[xr.Dataset], Sequence[tuple[str, Sequence[Member]]]]


class LookOptions(TypedDict, total=False):
    """Those of InputOptions that the look at a study's models takes."""

    examples: int | None
    batch_size: int | None
    workers: int
    device: Any


OPTIONS = tuple(LookOptions.__annotations__)


def asked(inputs: InputOptions, **given: Any) -> dict[str, Any]:
    """What `asked_study` takes of what a study's function was given."""
    device = inputs.device if inputs.changed("device") else None
    return {**given, "device": device}


def checked(study: Study, kind: str) -> Study:
    """The study, where it is one of that kind: `data-size` or `model-size`.

    Raises:
        InputError: it has several pre-trainings, no fraction or model to compare, or none to
            compare with.
    """
    if len(study.pretraining) > 1:
        listed = ", ".join(entry.label for entry in study.pretraining)
        raise InputError(
            f"study {study.name} has {len(study.pretraining)} pre-trainings ({listed}), and "
            f"vitprobe {kind} takes one: name it with {option('pretraining')}"
        )
    if kind == "data-size":
        if 1.0 not in study.fractions:
            listed = ", ".join(f"{fraction:g}" for fraction in study.fractions)
            raise InputError(
                f"study {study.name} has no fraction 1 ({listed}): each model is compared with "
                "the one trained on all data; add 1.0 to fractions in [study]"
            )
        if len(study.fractions) == 1:
            raise InputError(
                f"study {study.name} has no fraction but 1, so there is nothing to compare with "
                "it: write fractions = [0.1, 1.0], say, in [study]"
            )
        return study
    if len(study.fractions) > 1:
        raise InputError(
            f"study {study.name} has {len(study.fractions)} fractions of the data, and vitprobe "
            "model-size compares models trained on one: leave fractions out of [study]"
        )
    families = [entry.family for entry in study.models]
    for family in families:
        if families.count(family) == 1:
            of = f"family {family!r}" if family else f"study {study.name}"
            (label,) = (entry.label for entry in study.models if entry.family == family)
            raise InputError(
                f"{of} has one model, {label}: sizes are compared within a family, so give it two "
                "or more"
            )
    return study


def size_facts(study: Study, analysis: str, inputs: InputOptions) -> dict[str, Any]:
    """What decides the numbers, as attributes of the result."""
    short = {name: word for word, name in short_names(analysis.replace("_", "-")).items()}
    return study_facts(study) | {
        "analysis": analysis,
        "study": as_attribute(short.get(study.name, study.name)),
        "examples_asked": inputs.examples or 0,
        "batch_size_asked": inputs.batch_size or 0,
    }


def studied(
    study: Study,
    analysis: str,
    groups_of: Groups,
    match: Match,
    compared_with: str,
    inputs: InputOptions,
    *,
    alike: bool,
    output: str | Path = "checkpoints",
    progress: bool = False,
    report: Callable[[str], object] = lambda line: None,
    train: Train | None = None,
) -> xr.Dataset:
    """Train what is missing, then look at the models, a group after the other.

    What a pass has so far is kept in the folder of the checkpoints, until all are done.

    groups_of: of the result of the training, the groups (a name each) of runs that are compared.
    """
    result = trained(study, train, output=output, progress=progress, report=report)
    result = result.isel(pretraining=0).reset_coords(drop=True)
    if analysis == "model_size":
        result = result.isel(fraction=0).reset_coords(drop=True)
    data = test_images(study)
    keep = expanded(output, option("output")) / f".{analysis}-{study.name}"
    looked: list[tuple[Sequence[Member], Looked | None]] = []
    started = time.perf_counter()
    for name, members in groups_of(result):
        specs = {each.label: each.spec for each in members if each.spec}
        seen = None
        if specs:
            report(f"looking at {name}: models {len(specs)}, on {data.name}")
            seen = look(specs, data, inputs, alike=alike, keep=keep, progress=progress)
        looked.append((members, seen))
    attrs = dict(result.attrs)
    result = with_looks(result, looked, match, compared_with)
    seen_of = [seen for _, seen in looked if seen]
    notes = dict.fromkeys(note for seen in seen_of for note in seen.notes)
    for part in ("analysis", "run"):
        attrs.pop(part, None)
    facts = {key: seen_of[0].facts[key] for key in FACTS} if seen_of else {}
    result.attrs = {
        **attrs,
        **run_attributes(size_facts(study, analysis, inputs)),
        **facts,
        "seconds_looking": round(time.perf_counter() - started, 4),
        "notes": "\n".join(notes),
    }
    forget(keep)
    return result


def members(
    study: Study, result: xr.Dataset, is_reference: Callable[[Mapping[str, int]], bool]
) -> list[Member]:
    """Every run of a result of the training, in the order of its dimensions.

    is_reference: told where a run stands, by the names of the dimensions.
    """
    dims = result["accuracy"].dims
    found = []
    for place in _places([result.sizes[dim] for dim in dims]):
        at = dict(zip(dims, place, strict=True))
        one = result.isel(at)
        path, reason = one["checkpoint"].item(), one["reason"].item()
        spec = f"{parse_spec(study.models[place[0]].name).model}@{path}" if path else ""
        label = one["model_name"].item()
        found.append(Member(label, place, spec, reason, is_reference(at)))
    return found


def _places(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    places: list[tuple[int, ...]] = [()]
    for size in sizes:
        places = [(*place, k) for place in places for k in range(size)]
    return places
