"""The runs of a study, one after another: missing ones are trained, cut ones go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch

from vitprobe.data import load_data
from vitprobe.errors import InputError
from vitprobe.models.names import find_source
from vitprobe.models.spec import RANDOM, parse_spec
from vitprobe.training.diverged import Diverged
from vitprobe.training.study import NONE, Entry, Study

Train = Callable[..., Any]  # as vitprobe.training.train


@dataclass(frozen=True)
class Run:
    """One combination of a study, or (`fraction` None) a pre-training that several share."""

    model: Entry
    pretraining: Entry
    fraction: float | None
    seed: int
    model_name: str

    def __str__(self) -> str:
        label = self.pretraining.label
        if self.fraction is None:
            return f"{self.model.label}, pre-training on {label}, seed {self.seed}"
        return f"{self.model.label}, {label}, {percent(self.fraction)}, seed {self.seed}"


@dataclass(frozen=True)
class Outcome:
    """What `train` gave for a run, or the reason why there is nothing."""

    run: Run
    result: Any = None  # a TrainingResult
    reason: str = ""


def runs(study: Study) -> list[Run]:
    """Every run in order: seed by seed, each pre-training before the runs that start from it."""
    ordered = []
    for seed, model, pretraining in product(study.seeds, study.models, study.pretraining):
        fractions = [None] if pretraining.name != NONE else []
        for fraction in [*fractions, *study.fractions]:
            part = "pretrain" if fraction is None else f"f{100 * fraction:g}"
            name = f"{study.name}-{model.word}-{pretraining.word}-{part}-s{seed}"
            ordered.append(Run(model, pretraining, fraction, seed, name))
    return ordered


def check_sources(study: Study) -> int:
    """See that all data sets and models can be had, before hours are spent on some of them.

    Returns:
        The number of the target's classes; 0 where there are none.

    Raises:
        InputError: one that cannot.
    """
    sets = [entry for entry in study.pretraining if entry.name != NONE]
    for entry in study.models:
        spec = parse_spec(entry.name)
        find_source(spec.name)
        if spec.path is not None and not spec.path.is_file():
            raise InputError(f"no such checkpoint: {spec.path}, of the model {entry.label}")
        if sets and spec.weights != RANDOM:
            raise InputError(
                f"the model {entry.name} is trained already, and the study pre-trains it on "
                f"{sets[0].label}: give its name alone, or no pre-training but none"
            )
    for entry in sets:
        options = study.options | entry.options | study.overrides
        load_data(entry.name, split="train", data_dir=options.get("data_dir"))
    folder = (study.options | study.overrides).get("data_dir")
    if study.test_dataset is not None:
        load_data(study.test_dataset, split="test", data_dir=folder)
    return load_data(study.dataset, split="train", data_dir=folder).num_classes


def run_study(
    study: Study,
    train: Train,
    *,
    output: str | Path = "checkpoints",
    progress: bool = False,
    report: Callable[[str], object] = lambda line: None,
) -> Iterator[Outcome]:
    """Train, go on with or read every run of the study.

    A run that diverges, or that the device has no memory for, gives its reason, and the others go
    on; after such a pre-training nothing is fine-tuned. Any other error (a full disk, a checkpoint
    that other settings made) would meet the other runs too, and ends the study.

    train: as `vitprobe.training.train`.
    output: the folder of the checkpoints. progress: passed to `train`.
    report: is given a line for each run that is done.

    Yields:
        An Outcome for every run but the pre-trainings, in the order of `runs`.

    Raises:
        InputError: from `train`, as above.
    """
    ordered = runs(study)
    start: Outcome | None = None  # the pre-training of the runs that follow it
    for number, run in enumerate(ordered, 1):
        if run.fraction is None or run.pretraining.name == NONE:
            start = None
        if start is not None and start.reason:
            outcome = Outcome(run, reason=f"pre-training: {start.reason}")
        else:
            arguments = _arguments(study, run, start)
            arguments |= {"output": str(output), "resume": True, "progress": progress}
            outcome = _trained(train, run, arguments)
        said = outcome.reason or f"{100 * outcome.result.test_accuracy:.1f} %"
        report(f"{number}/{len(ordered)} {run}: {said}")
        if run.fraction is None:
            start = outcome
        else:
            yield outcome


def percent(fraction: float) -> str:
    """0.03 -> `3 %`."""
    return f"{100 * fraction:g} %"


def _arguments(study: Study, run: Run, start: Outcome | None) -> dict[str, Any]:
    """What `train` is called with: the options, then what makes this run this run."""
    pretrains = run.fraction is None
    options = study.options | run.model.options
    if pretrains:
        options = options | run.pretraining.options
    else:
        options = options | {"test_dataset": study.test_dataset, "fraction": run.fraction}
    if start is not None:
        mode, checkpoint = "finetune", str(start.result.path)
    else:
        trained = parse_spec(run.model.name).weights != RANDOM  # those of the user
        mode, checkpoint = "pretrain" if pretrains else "finetune" if trained else "scratch", None
    return {
        **options,
        **study.overrides,
        "mode": mode,
        "model": run.model.name,
        "checkpoint": checkpoint,
        "dataset": run.pretraining.name if pretrains else study.dataset,
        "seed": run.seed,
        "model_name": run.model_name,
    }


def _trained(train: Train, run: Run, arguments: Mapping[str, Any]) -> Outcome:
    try:
        return Outcome(run, train(**arguments))
    except Diverged as error:
        return Outcome(run, reason=str(error))
    except torch.OutOfMemoryError as error:
        return Outcome(run, reason=f"out of memory: {str(error).splitlines()[0]}")
    except InputError as error:
        raise InputError(f"run {run.model_name}: {error}") from error
