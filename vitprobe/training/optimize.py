"""What changes the weights: timm's optimisers, schedules and averaged weights, as settings say."""

from __future__ import annotations

from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim import Optimizer

from vitprobe.training.settings import OPTIMIZERS, Settings


def new_optimizer(model: nn.Module, settings: Settings) -> Optimizer:
    """timm's optimiser of that name; biases and norms are not decayed.

    `sgd` is torch's SGD with momentum, `nesterov` the one of that name.
    """
    options = {"momentum": settings.momentum} if settings.optimizer in OPTIMIZERS else {}
    return create_optimizer_v2(
        model,
        opt=OPTIMIZERS.get(settings.optimizer, settings.optimizer),
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        **options,
    )


class Schedule:
    """The learning rate at every step: linear warm-up from lr / 100, then timm's schedule.

    A function of the step alone, so nothing of it needs to be kept.
    """

    def __init__(self, optimizer: Optimizer, settings: Settings, steps_per_epoch: int):
        self.optimizer = optimizer
        self._scheduler = None
        if settings.scheduler == "none" and not settings.warmup:
            return
        # "constant" is timm's word for a schedule that only warms up
        name = "constant" if settings.scheduler == "none" else settings.scheduler
        steps = settings.epochs * steps_per_epoch
        warmup = round(settings.warmup * steps)
        self._scheduler, _ = create_scheduler_v2(
            optimizer,
            sched=name,
            num_epochs=max(steps - warmup, 1),
            decay_epochs=max(steps // 3, 1),
            min_lr=settings.lr * settings.min_lr,
            warmup_lr=settings.lr / 100,
            warmup_epochs=warmup,
            warmup_prefix=True,
            step_on_epochs=False,
            updates_per_epoch=1,  # all of the above are steps
        )

    def set(self, step: int) -> float:
        """Set the learning rate of step 0, 1, ... of the run, and return it."""
        if self._scheduler is not None:
            self._scheduler.step_update(step)
        return self.optimizer.param_groups[0]["lr"]


def new_average(model: nn.Module, settings: Settings) -> ModelEmaV3 | None:
    """Averaged weights (EMA), with timm's warm-up of the decay; None where not asked for."""
    if not settings.ema_decay:
        return None
    return ModelEmaV3(model, decay=settings.ema_decay, use_warmup=True)
