"""`vitprobe train`, from a run's choices to its files."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from vitprobe.data import CorruptImage, Transform
from vitprobe.errors import InputError, Stopped, option
from vitprobe.models import choose_device
from vitprobe.models.spec import split_key
from vitprobe.passes.processes import Processes, own_device, processes
from vitprobe.training.augment import Augment
from vitprobe.training.augment_options import AugmentOptions
from vitprobe.training.diverged import OutOfMemory
from vitprobe.training.earlier import find_earlier
from vitprobe.training.evaluate import evaluate
from vitprobe.training.feed import Feed
from vitprobe.training.files import RunFiles
from vitprobe.training.history import History
from vitprobe.training.images import TrainingImages
from vitprobe.training.loop import Loop, apart, autocast
from vitprobe.training.mix import Mix
from vitprobe.training.parts import Parts, open_parts
from vitprobe.training.report import Report
from vitprobe.training.resolve import resolve
from vitprobe.training.rng import own_random_state
from vitprobe.training.settings import Settings
from vitprobe.training.trainee import Trainee, new_trainee

EVALUATED_TOGETHER = 128  # images, at least: without gradients they take less memory


@dataclass(frozen=True)
class TrainingResult:
    """A finished run.

    path: the checkpoint of the best epoch by validation; last: of the last; files: these, the
        weights alone and the table. kept: weights of some epochs, in order. model_name: their name.
        settings: every choice.
    history: a list for each column, one number an epoch (see History). best_epoch: 1, 2, ...
    test_accuracy: of that epoch, in [0, 1]. parameters: of the model. seconds: of this call.
    """

    path: Path
    last: Path
    files: tuple[Path, ...]
    kept: tuple[Path, ...]
    model_name: str
    settings: Settings
    history: dict[str, list]
    best_epoch: int
    test_accuracy: float
    parameters: int
    seconds: float

    @property
    def spec(self) -> str:
        """The model as every command takes it: `vit@checkpoints/vit-digits-scratch.pt`."""
        return f"{self.settings.model}@{self.path}"


def train(
    mode: str | None = None,
    *,
    config: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    command: str = "",
    **options: Any,
) -> TrainingResult:
    """Train one model and keep the best epoch by validation.

    mode: `pretrain`, `finetune`, `resnet`, `scratch` or `probe`.
    options: the fields of `Settings`, which are the long options of `vitprobe train`; what is not
        given follows `config` (a TOML file of the same names), the recipe, and what the recipe
        leaves open the mode and the data set.
    resume: go on where the run of this name stopped, bit for bit as if it had not (on a CPU); a
        finished run is returned at once; where there is none, start.
    overwrite: replace the files of this name, whichever run made them. Without it, only those of
        the very same run are: same settings, classes, numbers of images and weights to start from.
    progress: print what is done. command: as typed, for the record.

    Under torchrun each process calls this; rank 0 writes. All random states are left as they were.
    Files: `<output>/<model_name>.pt`, `.last.pt`, `.safetensors`, `.csv`, with `keep_every` also
    `.epoch-000.safetensors` and so on; all written whole.

    Raises InputError for wrong options, data or weights, a loss that is not finite, files that
    cannot be written, and files of this name that another run made or that are damaged. Ctrl-C:
    KeyboardInterrupt, whose text names the last checkpoint.
    """
    if resume and overwrite:
        both = option("resume", True), option("overwrite", True)
        raise InputError(f"{both[0]} goes on with a run, and {both[1]} replaces it: give one")
    settings = resolve(mode, options, config)
    started = time.monotonic()
    device = own_device(choose_device(settings.device))
    files = RunFiles(settings.output, settings.model_name, keeps=bool(settings.keep_every))
    try:
        with (
            own_random_state(device),
            processes(device) as group,
            files.held(group.first) as note,
        ):
            report = Report(progress and group.first)
            history, parameters = _run(
                settings, files, device, group, resume, overwrite, report, note, command
            )
    except (KeyboardInterrupt, Stopped) as stop:
        left = f"{files.good()}: {option('resume', True)} goes on"
        if isinstance(stop, Stopped):
            stop.left = left
            raise
        raise KeyboardInterrupt(f"interrupted; {left}") from stop
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(
            f"out of GPU memory ({str(error).splitlines()[0]}): try a smaller "
            f"{option('batch_size')} than {settings.batch_size}; {files.good()}"
        ) from error
    except CorruptImage as bad:  # its own text names an option that training does not have
        raise InputError(
            f"unreadable image {bad.path} ({bad.reason}): repair or remove it"
        ) from bad
    best = history.row(history.best)
    return TrainingResult(
        path=files.best,
        last=files.last,
        files=(files.best, files.last, files.weights, files.table),
        kept=tuple(files.kept()),
        model_name=settings.model_name,
        settings=settings,
        history=history.columns,
        best_epoch=best["epoch"],
        test_accuracy=best["accuracy"],
        parameters=parameters,
        seconds=time.monotonic() - started,
    )


def _run(
    settings: Settings,
    files: RunFiles,
    device: torch.device,
    group: Processes,
    resume: bool,
    overwrite: bool,
    report: Report,
    taken_over: str,
    command: str,
) -> tuple[History, int]:
    """The history, and how many parameters the model has."""
    if settings.checkpoint and files.holds(split_key(settings.checkpoint)[0]):
        raise InputError(
            f"{settings.checkpoint} is what this run starts from, and would be replaced by it: "
            f"give another {option('model_name')} or {option('output')}"
        )
    earlier = find_earlier(files, settings, resume=resume, overwrite=overwrite)
    parts = open_parts(settings)
    trainee = new_trainee(settings, parts.train.data, device)
    earlier.check_start(parts, trainee)
    report.begin(
        settings, parts, trainee, taken_over, earlier.note, apart(trainee.model, settings, group)
    )
    state = earlier.state if earlier.resumed else None
    del earlier  # as large as the run itself
    if state is not None and state["finished"]:
        if not files.best.exists():
            raise InputError(f"this run is finished, but its {files.best} is gone: train anew")
        report.line("note: this run is finished; nothing was left to do")
        return History(state["history"]), trainee.parameters
    loop = new_loop(settings, parts, trainee, files, device, group, report, command)
    if state is not None:
        loop.restore(state)
        state = None
    loop.run()
    if group.first and not files.best.exists():  # the folder went, and was made again
        raise InputError(f"{files.best} was removed during the run; what is left is {files.last}")
    group.wait()
    return loop.history, trainee.parameters


def new_loop(
    settings: Settings,
    parts: Parts,
    trainee: Trainee,
    files: RunFiles,
    device: torch.device,
    group: Processes,
    report: Report,
    command: str,
) -> Loop:
    """The loop before its first step; its images are decoded here."""
    transform = trainee.transform
    size, mean, std = _stated(transform)
    train, validation, test = (
        TrainingImages(
            part.data,
            part.rows,
            size,
            device=device,
            workers=settings.workers,
            interpolation=transform.interpolation,
            crop_pct=transform.crop_pct,
        )
        for part in (parts.train, parts.validation, parts.test)
    )
    options = AugmentOptions.from_table(settings.augment)
    augment = Augment(options, mean, std)
    plain = Augment(AugmentOptions(), mean, std)
    mix = Mix(options, parts.train.data.num_classes) if options.mixes else None
    feed = Feed(
        train,
        augment,
        mix,
        batch_size=settings.batch_size,
        seed=settings.seed,
        processes=group,
        dtype=next(trainee.model.parameters()).dtype,
    )

    def judge(model) -> tuple[float, float, float, float]:
        validated, tested = (
            evaluate(
                model,
                images,
                plain,
                batch_size=max(settings.batch_size, EVALUATED_TOGETHER),
                processes=group,
                autocast=lambda: autocast(device, settings),
            )
            for images in (validation, test)
        )
        return *validated, *tested

    about = _about(settings, parts, trainee, command)
    return Loop(trainee.model, feed, judge, settings, files, group, report, about)


def _stated(transform: Transform) -> tuple[tuple[int, int], tuple[float, ...], tuple[float, ...]]:
    """Image size, mean and std, which a trainee's transform always has."""
    size, mean, std = transform.image_size, transform.mean, transform.std
    assert size is not None and mean is not None and std is not None
    return size, mean, std


def _about(settings: Settings, parts: Parts, trainee: Trainee, command: str) -> dict[str, Any]:
    """What a checkpoint says of itself beside the run's state."""
    size, mean, std = _stated(trainee.transform)
    return {
        "model_name": settings.model_name,
        "command": command,
        "settings": settings.as_dict(),
        "architecture": trainee.architecture,
        "trained": trainee.trained,
        "start_sha256": trainee.start_sha256,
        "class_names": parts.class_names,
        "image_size": list(size),
        "normalization": {"mean": list(mean), "std": list(std)},
        "images": parts.sizes,
        "versions": {name: version(name) for name in ("vitprobe", "torch", "timm")},
    }
