"""What the size of the training set changes in a model (Raghu et al. 2021, Fig. 12)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from typing_extensions import Unpack

from vitprobe.analyses.compare_training import asked_study
from vitprobe.analyses.study_result import Member, same_places
from vitprobe.analyses.study_run import OPTIONS, LookOptions, asked, checked, members, studied
from vitprobe.input_options import InputOptions, takes_inputs
from vitprobe.training.study import Study
from vitprobe.training.study_runs import Train

COMPARED_WITH = "the model trained on all data"


@takes_inputs(only=OPTIONS)
def data_size(
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
    """Compare models trained on parts of a data set with the ones trained on all of it.

    Trains what is missing, as `vitprobe.compare_training` does and into the same files, then shows
    all models of one network the test images, in one pass.

    Args:
        study: `digits`, `cifar10`, `cifar100`, `imagenet-100`, or a TOML file's path (see
            `vitprobe.training.study`) whose `fractions` have 1.0 among them.
        dataset, test_dataset: the target, instead of the study's.
        data_dir, epochs: for every run, pre-training included; as for `vitprobe train`.
        seeds: instead of the study's.
        models, pretraining: labels; only these of the study's. One pre-training is taken.
        output: folder of the checkpoints, where runs that were finished or cut are looked for.
        progress: whether training and passes show their own progress.
        report: is given a line for each run that is done.
        train: a function like `vitprobe.training.train`, which is the default.
        {inputs}

    Returns:
        Dataset over model, fraction, seed, NaN where a `..._blank` says why. What
        `vitprobe.compare_training` gives, without its dimension pretraining. `cka` and `cka_se`
        (..., layer): unbiased linear CKA of each block, and the output, with the same one of the
        model of the same seed trained on all data, and its standard error over batches;
        `cka_other_seeds`: with those of the other seeds, the mean, which at fraction 1 is what
        another seed alone gives. `distance` (..., attention_layer): mean attention distance over a
        layer's heads, pixels. `skip_ratio` (..., skip_layer, group): |skip| / |branch| of patches,
        class token and registers. Names of layers by model. float64.

    Raises:
        InputError: a study that has no model of all data or cannot be had, before anything is
            trained; checkpoints of two networks; and what `run_study` raises.
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
    read = checked(asked_study(study, "data-size", **given), "data-size")
    return studied(
        read,
        "data_size",
        lambda result: groups(read, result),
        same_places,
        COMPARED_WITH,
        options,
        alike=True,
        output=output,
        progress=progress,
        report=report,
        train=train,
    )


def groups(study: Study, result: xr.Dataset) -> list[tuple[str, list[Member]]]:
    """The runs of each model; those of all data are the references."""
    whole = int(np.argmax(result["fraction"].values))
    runs = members(study, result, lambda at: at["fraction"] == whole)
    return [
        (entry.label, [each for each in runs if each.place[0] == k])
        for k, entry in enumerate(study.models)
    ]
