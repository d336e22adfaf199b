"""Accuracy of models after different pre-training, on more or less data, over seeds."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from vitprobe.errors import option
from vitprobe.passes.provenance import as_attribute, run_attributes, strings, versions
from vitprobe.training.files import RunFiles
from vitprobe.training.study import Study, chosen, read_study
from vitprobe.training.study_runs import Outcome, Train, check_study, run_study, runs
from vitprobe.writing import check_folder

DIMS = ("model", "pretraining", "fraction", "seed")
CURVES = ("train_loss", "val_accuracy", "accuracy")


def compare_training(
    study: str | Path,
    *,
    dataset: str | None = None,
    test_dataset: str | None = None,
    data_dir: str | None = None,
    epochs: int | None = None,
    seeds: Sequence[int] | None = None,
    models: Sequence[str] | None = None,
    pretraining: Sequence[str] | None = None,
    device: str | None = None,
    output: str | Path = "checkpoints",
    progress: bool = False,
    report: Callable[[str], object] = lambda line: None,
    train: Train | None = None,
) -> xr.Dataset:
    """Train all runs of a study, or read those that were trained before, and compare them.

    Args:
        study: `small-data`, `data-size`, or a TOML file's path (see `vitprobe.training.study`).
        dataset, test_dataset: the target, instead of the study's.
        data_dir, epochs, device: for every run, pre-training included; as for `vitprobe train`.
        seeds: instead of the study's.
        models, pretraining: labels; only these of the study's.
        output: folder of the checkpoints, where runs that were finished or cut are looked for.
        progress: whether `train` shows its own progress.
        report: is given a line for each run that is done.
        train: a function like `vitprobe.training.train`, which is the default.

    Returns:
        Dataset over model, pretraining, fraction (of the training set), seed. Shares of 1, NaN
        where `reason` says why: `accuracy` on the test set, of the epoch that the validation set
        chose, and `val_accuracy`, of that epoch on the validation set. `best_epoch`, `epochs`
        (trained; 0 where blank), `seconds` (of these epochs), `model_name`, `checkpoint`,
        `settings` (JSON). `parameters` (model). The curves `epoch_train_loss`,
        `epoch_val_accuracy` and `epoch_accuracy` have a dimension epoch more, from 1, NaN after a
        run's last.

    Raises:
        InputError: the study, a model or a data set that cannot be had, before anything is trained;
            and what `run_study` raises.
    """
    read = asked_study(
        study,
        dataset=dataset,
        test_dataset=test_dataset,
        data_dir=data_dir,
        epochs=epochs,
        seeds=seeds,
        models=models,
        pretraining=pretraining,
        device=device,
    )
    return trained(read, train, output=output, progress=progress, report=report)


def trained(
    study: Study,
    train: Train | None = None,
    *,
    output: str | Path = "checkpoints",
    progress: bool = False,
    report: Callable[[str], object] = lambda line: None,
) -> xr.Dataset:
    """`compare_training` of a study that has been read."""
    if train is None:
        from vitprobe import training

        train = training.train
    output = check_folder(
        output, [name for run in runs(study) for name in RunFiles(output, run.model_name).names]
    )
    num_classes = check_study(study)
    outcomes = list(run_study(study, train, output=output, progress=progress, report=report))
    return labelled(study, outcomes, num_classes)


def asked_study(
    study: str | Path,
    kind: str | None = None,
    *,
    dataset: str | None = None,
    test_dataset: str | None = None,
    seeds: Sequence[int] | None = None,
    models: Sequence[str] | None = None,
    pretraining: Sequence[str] | None = None,
    **overrides: Any,
) -> Study:
    """The study with what was asked for instead of its own; see `compare_training`.

    kind: as for `read_study`.

    Raises:
        InputError: a study that cannot be had, or that has no such model or pre-training.
    """
    read = read_study(study, kind)
    if dataset is not None:
        read = replace(read, dataset=dataset, test_dataset=None)
    if test_dataset is not None:
        read = replace(read, test_dataset=test_dataset)
    if seeds is not None:
        read = replace(read, seeds=tuple(seeds))
    if models is not None:
        read = replace(read, models=chosen(read.models, models, option("models")))
    if pretraining is not None:
        read = replace(
            read, pretraining=chosen(read.pretraining, pretraining, option("pretraining"))
        )
    return replace(read, overrides={k: v for k, v in overrides.items() if v is not None})


def study_facts(study: Study) -> dict[str, Any]:
    """What decides the numbers, as attributes of the result."""
    config = asdict(study)
    elsewhere = ("data_dir", "device")  # where it runs, not what
    config["overrides"] = {k: v for k, v in config["overrides"].items() if k not in elsewhere}
    return {
        "analysis": "compare_training",
        "study": as_attribute(study.name),
        "title": as_attribute(study.title),
        "dataset": as_attribute(study.dataset),
        "test_dataset": as_attribute(study.test_dataset or study.dataset),
        "config": _json(config),
    }


def labelled(study: Study, outcomes: Sequence[Outcome], num_classes: int) -> xr.Dataset:
    """The Dataset of `compare_training` from an outcome for each combination of the study."""
    coords = {
        "model": strings([entry.label for entry in study.models]),
        "pretraining": strings([entry.label for entry in study.pretraining]),
        "fraction": np.array(study.fractions),
        "seed": np.array(study.seeds),
    }
    shape = tuple(len(coords[dim]) for dim in DIMS)
    longest = max((len(o.result.history["epoch"]) for o in outcomes if o.result), default=0)
    numbers = {name: np.full(shape, np.nan) for name in ("accuracy", "val_accuracy", "seconds")}
    counts = {name: np.zeros(shape, dtype=np.int64) for name in ("epochs", "best_epoch")}
    texts = {
        name: np.full(shape, "", dtype=object)
        for name in ("reason", "model_name", "checkpoint", "settings")
    }
    curves = {f"epoch_{name}": np.full((*shape, longest), np.nan) for name in CURVES}
    parameters = np.zeros(len(study.models), dtype=np.int64)
    for outcome in outcomes:
        run, result = outcome.run, outcome.result
        place = (
            study.models.index(run.model),
            study.pretraining.index(run.pretraining),
            study.fractions.index(run.fraction),
            study.seeds.index(run.seed),
        )
        texts["model_name"][place] = run.model_name
        texts["reason"][place] = outcome.reason
        if result is None:
            continue
        history = result.history
        best = list(history["epoch"]).index(result.best_epoch)
        numbers["accuracy"][place] = result.test_accuracy
        numbers["val_accuracy"][place] = history["val_accuracy"][best]
        numbers["seconds"][place] = sum(history["seconds"])
        counts["epochs"][place] = len(history["epoch"])
        counts["best_epoch"][place] = result.best_epoch
        texts["checkpoint"][place] = str(result.path)
        texts["settings"][place] = _json(result.settings.as_dict())
        for name in CURVES:
            curves[f"epoch_{name}"][place][: len(history[name])] = history[name]
        parameters[place[0]] = result.parameters
    dataset = xr.Dataset(
        {name: (DIMS, values) for name, values in (numbers | counts | texts).items()}
        | {name: ((*DIMS, "epoch"), values) for name, values in curves.items()}
        | {"parameters": ("model", parameters)},
        coords=coords | {"epoch": np.arange(1, longest + 1)},
    )
    dataset["accuracy"].attrs["long_name"] = "test accuracy of the epoch chosen by validation"
    dataset["seconds"].attrs["units"] = "s"
    dataset.attrs = {
        **run_attributes(study_facts(study)),
        "num_classes": num_classes,
        **versions(),
    }
    return dataset


def rows(dataset: xr.Dataset) -> list[dict[str, Any]]:
    """A row for each model, pre-training and fraction: accuracy over the seeds that have one.

    Keys: model, pretraining, fraction, mean, min, max (shares of 1, None where blank), seeds (how
    many have a value), reason (why others have none, each once; "" where all have one).
    """
    found = []
    for i, model in enumerate(dataset["model"].values):
        for j, pretraining in enumerate(dataset["pretraining"].values):
            for k, fraction in enumerate(dataset["fraction"].values):
                place = {"model": i, "pretraining": j, "fraction": k}
                cell = dataset.isel(place)
                values = cell["accuracy"].values
                values = values[np.isfinite(values)]
                reasons = dict.fromkeys(str(text) for text in cell["reason"].values if text)
                found.append(
                    {
                        "model": str(model),
                        "pretraining": str(pretraining),
                        "fraction": float(fraction),
                        "mean": float(values.mean()) if len(values) else None,
                        "min": float(values.min()) if len(values) else None,
                        "max": float(values.max()) if len(values) else None,
                        "seeds": len(values),
                        "reason": "; ".join(reasons),
                    }
                )
    return found


def _json(values: Any) -> str:
    return json.dumps(values, default=str, ensure_ascii=False)
