"""`vitprobe compare-training`: accuracy of models after different training, as a table."""

import sys
from typing import Annotated

import typer

from vitprobe.cli import _options as options
from vitprobe.cli import _study_options as study_options
from vitprobe.cli._completion import studies


def command(
    study: Annotated[
        str | None,
        typer.Argument(
            help="A study: small-data, data-size, one of those of vitprobe data-size and "
            "model-size (data-size-digits), or a TOML file of your own.",
            metavar="STUDY",
            show_default=False,
            autocompletion=studies,
        ),
    ] = None,
    config: study_options.Config = None,
    dataset: study_options.Target = None,
    test_dataset: study_options.TestTarget = None,
    data_dir: study_options.DataDir = None,
    epochs: study_options.Epochs = None,
    seeds: study_options.Seeds = None,
    models: study_options.Models = None,
    pretraining: study_options.Pretraining = None,
    device: study_options.Device = None,
    output: study_options.Output = "checkpoints",
    results: study_options.Results = "results",
    name: options.Name = None,
    overwrite: options.Overwrite = False,
    report: options.Report = False,
) -> None:
    """Train what a study asks for, over seeds, and compare the accuracies.

    Runs that are finished already are read, those that were cut go on: the same command, typed
    again, continues. Writes the numbers (.nc), the table (.csv) and a figure (.png).

    Example: vitprobe compare-training data-size
    """
    chosen = study_options.chosen(study, config)
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
    from vitprobe.analyses.compare_training import asked_study, compare_training, study_facts
    from vitprobe.cli._compare_training_summary import csv_bytes, print_summary
    from vitprobe.cli._output import ResultFiles, Writers, netcdf
    from vitprobe.cli._warned import plain_warnings
    from vitprobe.figures import plot, png_bytes
    from vitprobe.passes.processes import writes

    writers = Writers(
        {".nc": netcdf, ".csv": csv_bytes, ".png": lambda result: png_bytes(plot(result))}
    )
    how = {"name": name, "overwrite": overwrite, "report": report}
    files = ResultFiles(results, writers, **how, option="results")
    words = study_options.words(chosen, asked)
    files.settle([study_facts(asked_study(chosen, **asked))], words)
    with study_options.going_on(output), plain_warnings():
        result = compare_training(
            chosen,
            **asked,
            output=output,
            progress=sys.stdout.isatty(),
            report=study_options.report,
        )
    if not writes():  # under torchrun the first process does
        return
    print_summary(result, files.save([result]))
