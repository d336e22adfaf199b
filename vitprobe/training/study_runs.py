"""The runs of a study, one after another: missing ones are trained, cut ones go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch

from vitprobe.data import ImageData
from vitprobe.data.images import SomeOf
from vitprobe.errors import InputError
from vitprobe.file_names import file_word, joined
from vitprobe.models.spec import RANDOM, parse_spec
from vitprobe.training.diverged import Diverged
from vitprobe.training.parts import Parts, open_parts
from vitprobe.training.resolve import resolve
from vitprobe.training.study import NONE, Entry, Study
from vitprobe.training.trainee import new_trainee

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
            words = [file_word(study.name), model.word, pretraining.word, part, f"s{seed}"]
            ordered.append(Run(model, pretraining, fraction, seed, joined(words)))
    return ordered


def check_study(study: Study) -> int:
    """See that all runs can begin, before hours are spent on some of them.

    Their choices are resolved, data sets opened and models built; nothing is written.

    Returns:
        The number of the target's classes; 0 where there are none.

    Raises:
        InputError: a data set or model that cannot be had, or an option that does not fit.
    """
    first = replace(study, seeds=study.seeds[:1], fractions=(min(study.fractions),))
    opened: dict[tuple, Parts] = {}
    classes = 0
    for run in runs(first):
        if run.fraction is not None and run.pretraining is not study.pretraining[0]:
            continue  # for the target, a model is built once
        with _named(run):
            arguments = _arguments(study, run, None)
            settings = resolve(arguments.pop("mode"), arguments)
            key = settings.dataset, settings.test_dataset, settings.data_dir, settings.fraction
            if key not in opened:
                opened[key] = open_parts(settings)
            new_trainee(settings, opened[key].train.data, torch.device("cpu"))
        if run.fraction is not None:  # on the target
            classes = opened[key].train.data.num_classes
    return classes


def test_images(study: Study) -> ImageData:
    """The images that accuracy is measured on, the same for all runs.

    Raises:
        InputError: data that cannot be had.
    """
    arguments = _arguments(study, runs(study)[-1], None)
    test = open_parts(resolve(arguments.pop("mode"), arguments)).test
    return test.data if len(test.rows) == len(test.data) else SomeOf(test.data, test.rows)


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
        with _named(run):
            return Outcome(run, train(**arguments))
    except Diverged as error:
        return Outcome(run, reason=str(error))
    except torch.OutOfMemoryError as error:
        return Outcome(run, reason=f"out of memory: {str(error).splitlines()[0]}")


@contextmanager
def _named(run: Run):
    """Errors say which run they are of."""
    try:
        yield
    except Diverged:
        raise
    except InputError as error:
        raise InputError(f"run {run.model_name}: {error}") from error
