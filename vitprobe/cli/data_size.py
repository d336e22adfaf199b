"""`vitprobe data-size`: models trained on parts of a data set, against those trained on all."""

from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.cli import _study_options as study_options
from vitprobe.cli._completion import one_of
from vitprobe.input_options import InputOptions


@options.takes_inputs(only=("examples", "batch_size", "workers"))
def command(
    study: Annotated[
        str | None,
        typer.Argument(
            help="A study: digits, cifar10, cifar100, imagenet-100 (a folder, "
            "data/imagenet-100), or a TOML file of your own.",
            metavar="STUDY",
            show_default="digits",
            autocompletion=one_of("digits", "cifar10", "cifar100", "imagenet-100"),
        ),
    ] = None,
    config: study_options.Config = None,
    *,
    dataset: study_options.Target = None,
    test_dataset: study_options.TestTarget = None,
    data_dir: study_options.DataDir = None,
    epochs: study_options.Epochs = None,
    seeds: study_options.Seeds = None,
    models: study_options.Models = None,
    pretraining: study_options.Pretraining = None,
    device: study_options.Device = None,
    inputs: InputOptions,
    output: study_options.Output = "checkpoints",
    results: study_options.Results = "results",
    name: options.Name = None,
    overwrite: options.Overwrite = False,
    report: options.Report = False,
) -> None:
    """Train models on parts of a data set, and compare each with the one trained on all of it.

    CKA block by block, accuracy, attention distance and skip ratios, over seeds. Runs that are
    finished are read, those that were cut go on: the same command, typed again, continues.
    Writes the numbers (.nc), tables (.csv) and a figure (.png). For accuracy alone, of more kinds
    of studies: vitprobe compare-training.

    Example: vitprobe data-size digits
    """
    chosen = study_options.chosen(study, config, "digits")
    asked = study_options.asked(
        dataset=dataset,
        test_dataset=test_dataset,
        data_dir=data_dir,
        epochs=epochs,
        seeds=seeds,
        models=models,
        pretraining=pretraining,
        device=device,
    )
    from vitprobe.analyses.data_size import data_size
    from vitprobe.cli._study_summary import run_study

    how = {"name": name, "overwrite": overwrite, "report": report}
    run_study(data_size, "data-size", chosen, asked, inputs, output, results, **how)
