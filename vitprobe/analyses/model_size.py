"""What the size of a model changes in it (Raghu et al. 2021, section 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from typing_extensions import Unpack

from vitprobe.analyses.compare_training import asked_study
from vitprobe.analyses.study_result import Member, relative_places
from vitprobe.analyses.study_run import OPTIONS, LookOptions, asked, checked, members, studied
from vitprobe.errors import say
from vitprobe.input_options import InputOptions, takes_inputs
from vitprobe.passes.provenance import strings
from vitprobe.training.study import Study
from vitprobe.training.study_runs import Train

COMPARED_WITH = "the largest model of its family"


@takes_inputs(only=OPTIONS)
def model_size(
    study: str | Path = "digits",
    *,
    dataset: str | None = None,
    test_dataset: str | None = None,
    data_dir: str | None = None,
    epochs: int | None = None,
    seeds: Sequence[int] | None = None,
    models: Sequence[str] | None = None,
    pretraining: Sequence[str] | None = None,
    output: str | Path = "checkpoints",
    progress: bool = False,
    report: Callable[[str], object] = lambda line: None,
    train: Train | None = None,
    **inputs: Unpack[LookOptions],
) -> xr.Dataset:
    """Compare models of several sizes with the largest of their family, block by block.

    Each block is compared with that of the same relative depth: block k of n with block
    k (N - 1) / (n - 1) of the N of the largest, rounded, halves down; the output with the output.
    The largest is the one with the most parameters.

    Args:
        study: `digits`, `cifar10`, `cifar100`, `imagenet-100`, or a TOML file's path (see
            `vitprobe.training.study`): its models are the sizes, `family` says whose.
        dataset, test_dataset, data_dir, epochs, seeds, models, pretraining: as for
            `vitprobe.data_size`.
        output, progress, report, train: as for `vitprobe.data_size`.
        {inputs}

    Returns:
        Dataset over model, seed: what `vitprobe.data_size` gives, without fraction. `cka` is with
        the largest model of the same seed, `cka_other_seeds` with those of the other seeds, which
        of the largest itself is what another seed alone gives. `family`, `largest` (of its family)
        and `parameters` of each model; `matched_layer` (model, layer): which layer of the largest
        each was compared with.

    Raises:
        InputError: a study with several fractions, or with a family of one model, before anything
            is trained; and what `run_study` raises.
    """
    options = InputOptions(**inputs)
    given = asked(
        options,
        dataset=dataset,
        test_dataset=test_dataset,
        data_dir=data_dir,
        epochs=epochs,
        seeds=seeds,
        models=models,
        pretraining=pretraining,
    )
    read = checked(asked_study(study, "model-size", **given), "model-size")
    result = studied(
        read,
        "model_size",
        lambda result: groups(read, result),
        relative_places,
        COMPARED_WITH,
        options,
        alike=False,
        output=output,
        progress=progress,
        report=report,
        train=train,
    )
    families = [entry.family for entry in read.models]
    largest = _largest(read, result)
    notes = [note for note in result.attrs["notes"].split("\n") if note]
    for k, entry in enumerate(read.models):
        if not result["parameters"].values[k]:
            say(notes, f"{entry.label} has no trained model: others are compared with the largest "
                "that has one")  # fmt: skip
    result.attrs["notes"] = "\n".join(notes)
    names = [read.models[largest[family]].label for family in families]
    return result.assign_coords(
        family=("model", strings(families)), largest=("model", strings(names))
    )


def groups(study: Study, result: xr.Dataset) -> list[tuple[str, list[Member]]]:
    """The runs of each family; those of its largest model are the references."""
    largest = _largest(study, result)
    families = [entry.family for entry in study.models]
    runs = members(study, result, lambda at: largest[families[at["model"]]] == at["model"])
    return [
        (family or "all models", [each for each in runs if families[each.place[0]] == family])
        for family in largest
    ]


def _largest(study: Study, result: xr.Dataset) -> dict[str, int]:
    """Of each family, in the study's order, the place of the model with the most parameters."""
    families = np.array([entry.family for entry in study.models])
    parameters = result["parameters"].values
    return {
        str(family): int(max(np.flatnonzero(families == family), key=lambda k: parameters[k]))
        for family in dict.fromkeys(families.tolist())
    }
