"""The training loop: steps, epochs, what is recorded and saved, and going on after a stop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from vitprobe.errors import InputError, brief, option
from vitprobe.passes.processes import Processes
from vitprobe.training.diverged import Diverged
from vitprobe.training.feed import Feed, TrainingBatch, seed_step
from vitprobe.training.files import RunFiles
from vitprobe.training.history import Board, History
from vitprobe.training.losses import Losses
from vitprobe.training.optimize import Schedule, new_average, new_optimizer
from vitprobe.training.report import Report
from vitprobe.training.rng import rng_state, set_rng_state
from vitprobe.training.settings import Settings
from vitprobe.training.state import FORMAT
from vitprobe.training.trainee import train_mode

LOOK_EVERY = 50  # steps between two looks at the losses on a GPU, each of which waits for it
SAVING_SHARE = 0.02  # of the time, at most, goes into the checkpoints within an epoch


class Loop:
    """One run of a model, from its first step or from where a checkpoint left it.

    model: on its device. feed: the training batches. judge: a function of a model that gives
    (val_loss, val_accuracy, test_loss, accuracy). about: what goes into every checkpoint beside
    the run's own state.
    """

    def __init__(
        self,
        model: nn.Module,
        feed: Feed,
        judge,
        settings: Settings,
        files: RunFiles,
        processes: Processes,
        report: Report,
        about: dict[str, Any],
    ):
        model = common_statistics(model, processes)
        self.model, self.feed, self.judge, self.settings = model, feed, judge, settings
        self.files, self.processes, self.report, self.about = files, processes, report, about
        self.device = next(model.parameters()).device
        self.optimizer = new_optimizer(model, settings)
        self.schedule = Schedule(self.optimizer, settings, feed.steps)
        self.average = new_average(model, settings)
        self.forward = parallel(model, settings, processes)
        self.history = History()
        self.epoch, self.step, self.losses = 0, 0, Losses(processes)
        self.seconds, self._saved_at, self._saving = 0.0, time.monotonic(), 0.0

    @property
    def finished(self) -> bool:
        return self.epoch == self.settings.epochs

    def run(self) -> History:
        """Every epoch that is still to come. Raises Diverged where the loss is not finite."""
        board = Board(self.files, self.epoch) if self.processes.first else None
        if board and not self.epoch and not self.step:
            self._begin()
        while not self.finished:
            self._run_epoch()
            if board:
                board.add(self.history.row())
        if board:
            board.close()
        return self.history

    def _begin(self) -> None:
        """Epochs of a run of this name that is replaced go; where epochs are kept, the weights
        before the first step are the first of them, after a checkpoint that says whose they are."""
        self.files.remove_kept()
        if self.settings.keep_every:
            state = self.state()
            self.files.write_last(state)
            self.files.write_kept(state)

    def _run_epoch(self) -> None:
        started = time.monotonic() - self.seconds
        for _ in self.steps():
            self.seconds = time.monotonic() - started
        self._check_losses()
        self._check_weights()
        self.processes.share(self.judged_model.buffers())
        val_loss, val_accuracy, test_loss, accuracy = self.judge(self.judged_model)
        self.history.add(
            epoch=self.epoch + 1,
            train_loss=self.losses.mean,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            test_loss=test_loss,
            accuracy=accuracy,
            lr=self.optimizer.param_groups[0]["lr"],
            seconds=round(time.monotonic() - started, 3),
        )
        self.epoch, self.step, self.losses = self.epoch + 1, 0, Losses(self.processes)
        self.seconds = 0.0
        self._timed(self._save_epoch)
        self.report.epoch(self.history.row(), self.settings.epochs)

    def steps(self) -> Iterator[int]:
        """The steps that are left of this epoch, and all that is done between them; each gives the
        number of those done."""
        train_mode(self.model, self.settings)
        for batch in self.feed.epoch(self.epoch, self.step):
            self.train_step(batch)
            self.step += 1
            self.report.step(self.epoch, self.step, self.feed.steps)
            yield self.step
            self._between_steps()

    def train_step(self, batch: TrainingBatch) -> None:
        """Forward, backward and one step of the optimiser."""
        at = self.epoch * self.feed.steps + self.step
        self.schedule.set(at)
        seed_step(self.settings.seed, self.epoch, self.step, self.processes.rank)
        with autocast(self.device, self.settings), _enough_images(batch.whole, self.processes):
            logits = logits_of(self.forward(batch.images))
            loss = F.cross_entropy(
                logits, batch.targets, label_smoothing=self.settings.label_smoothing
            )
        if self.processes.count > 1:
            loss = loss * batch.share  # the mean over processes is the mean over the whole batch
        self.optimizer.zero_grad()
        loss.backward()
        if self.settings.clip_grad:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_grad)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.model, step=at)
        self.losses.add(loss.detach(), batch.whole)

    @property
    def judged_model(self) -> nn.Module:
        """What is evaluated and kept as the best: the averaged weights where there are any."""
        return self.model if self.average is None else self.average.module

    def state(self) -> dict[str, Any]:
        """All that is needed to go on: tensors and plain values, which load as data."""
        history = self.history.columns
        raw = None if self.average is None else self.model.state_dict()
        return {
            "format": FORMAT,
            **self.about,
            "epoch": self.epoch,
            "step": self.step,
            "finished": self.finished,
            "model_state_dict": self.judged_model.state_dict(),
            "raw_state_dict": raw,  # what the steps change, where that is averaged
            "optimizer_state_dict": self.optimizer.state_dict(),
            "rng": rng_state(),
            "losses": [self.losses.total, self.losses.images],
            "seconds": self.seconds,
            "history": {name: list(values) for name, values in history.items()},
            **{key: list(history[key]) for key in ("train_loss", "test_loss", "accuracy")},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state` of the same settings. Raises InputError where it is of another."""
        try:
            self._restore(state)
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"{self.files.last} does not fit this run ({brief(error)}): remove it to start "
                "afresh"
            ) from error

    def _restore(self, state: dict[str, Any]) -> None:
        self.judged_model.load_state_dict(state["model_state_dict"])
        if self.average is not None:
            self.model.load_state_dict(state["raw_state_dict"])
        self.optimizer.load_state_dict(state["optimizer_state_dict"])
        self.epoch, self.step, self.seconds = state["epoch"], state["step"], state["seconds"]
        self.losses = Losses(self.processes, *state["losses"])
        self.history = History(state["history"])
        set_rng_state(state["rng"])

    def _between_steps(self) -> None:
        """Look at the losses and save, where it is time to. The losses are known then, so that
        the first process can save without the others."""
        due = self._save_is_due()
        often = self.device.type == "cpu" or (due and self.processes.count == 1)
        if often or self.step % LOOK_EVERY == 0:
            self._check_losses()
            # of spoilt weights the next loss tells, to all processes
            if due and self.step < self.feed.steps and not self._spoilt_weight():
                self._timed(self._save_last)

    def _save_is_due(self) -> bool:
        since = time.monotonic() - self._saved_at
        wait = max(self.settings.save_every, self._saving / SAVING_SHARE)
        return self.processes.first and since >= wait

    def _save_last(self) -> None:
        self.files.write_last(self.state())

    def _save_epoch(self) -> None:
        """The best first and the last at the end: a stop between them repeats this epoch's end."""
        if not self.processes.first:
            return
        state = self.state()
        if self.history.best == len(self.history) - 1:
            self.files.write_best(state)
        self.files.write_table(self.history.columns)
        every = self.settings.keep_every
        if every and (self.finished or self.epoch % every == 0):
            self.files.write_kept(state)
        self.files.write_last(state)

    def _timed(self, save) -> None:
        started = time.monotonic()
        save()
        self._saved_at = time.monotonic()
        self._saving = self._saved_at - started

    def _check_losses(self) -> None:
        bad = self.losses.look()
        if bad is not None:
            ago, loss = bad
            self._refuse(f"the loss is {loss}", self.step - ago)

    def _check_weights(self) -> None:
        bad = self._spoilt_weight()
        if bad:
            self._refuse(f"weights are not finite any more ({bad})", self.step)

    def _spoilt_weight(self) -> str:
        """The first weight that is not finite, or "". A finite loss may still have had gradients
        that are not: such weights are not saved."""
        weights = self.model.named_parameters()
        return next((name for name, weight in weights if not weight.isfinite().all()), "")

    def _refuse(self, what: str, step: int) -> None:
        other = "" if self.settings.precision == "fp32" else f", or {option('precision')} fp32"
        raise Diverged(
            f"{what} at step {step} of epoch {self.epoch + 1} (step "
            f"{self.epoch * self.feed.steps + step} of the run): try an {option('lr')} below "
            f"{self.settings.lr:g}{other}; {self.files.good()}"
        )


def parallel(model: nn.Module, settings: Settings, processes: Processes) -> nn.Module:
    """The model as it is run: compiled; in several processes with its gradients averaged."""
    device = next(model.parameters()).device
    run = torch.compile(model) if settings.compile else model
    if processes.count == 1:
        return run
    # static_graph: weights that the output does not depend on are found once, in the first step;
    # a compiled model is cut into graphs of its own
    ids = [device] if device.type == "cuda" else None
    return DistributedDataParallel(run, device_ids=ids, static_graph=not settings.compile)


def common_statistics(model: nn.Module, processes: Processes) -> nn.Module:
    """The same weights; on several GPUs batch norm takes its statistics over all processes."""
    on_gpu = next(model.parameters()).device.type == "cuda"
    return convert_sync_batchnorm(model) if on_gpu and processes.count > 1 else model


def logits_of(output) -> Tensor:
    """The model's answer; the first, where a network in training mode gives auxiliary ones too."""
    first = output[0] if isinstance(output, tuple) and output else output
    if not isinstance(first, Tensor) or first.ndim != 2:
        kind = type(output).__name__
        raise InputError(f"this model gives {kind}, where a tensor (images, classes) is needed")
    return first


def apart(model: nn.Module, settings: Settings, processes: Processes) -> str:
    """A note where batch norm cannot do so, since gloo has no common statistics; else ""."""
    trained = settings.mode != "probe"
    norms = any(isinstance(module, _BatchNorm) for module in model.modules())
    if processes.count == 1 or next(model.parameters()).is_cuda or not (trained and norms):
        return ""
    return (
        f"on CPUs batch norm takes its statistics over each process's images (1/{processes.count} "
        "of a batch), so that the number of processes matters"
    )


@contextmanager
def _enough_images(count: int, processes: Processes) -> Iterator[None]:
    """Batch norm's complaint of a single value in the words of the options."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise InputError(
            f"this model's batch norm needs two images at a time: a batch of {count} for "
            f"{processes.count} process(es) is too small; give another {option('batch_size')}"
        ) from error


def autocast(device: torch.device, settings: Settings):
    """bfloat16 where asked for."""
    if settings.precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
