"""One step of each recipe is the step that a few lines of plain PyTorch make."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vitprobe.passes.processes import Processes
from vitprobe.training import Recipe, recipes
from vitprobe.training.evaluate import evaluate
from vitprobe.training.feed import seed_step
from vitprobe.training.files import RunFiles
from vitprobe.training.loop import Loop
from vitprobe.training.report import Report
from vitprobe.training.resolve import resolve
from vitprobe.training.train import new_loop as training_loop
from vitprobe.training.train import new_trainee, open_parts

STEPS = 3  # the first of them is within the warm-up, where there is one
KINDS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


class Small(nn.Module):
    """A convolution, two norms, dropout: weights of every kind that recipes tell apart."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2)
        )
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.head(self.norm(self.body(x).mean((2, 3))))


def new_loop(recipe: Recipe, few_digits, tmp_path, **options) -> Loop:
    settings = resolve(
        "probe" if recipe.name == "linear-probe" else "scratch",
        {
            "dataset": f"npz:{few_digits}/train.npz",
            "test_dataset": f"npz:{few_digits}/test.npz",
            "model": f"{__name__}:Small",
            "recipe": recipe.name,
            "batch_size": 16,
            "device": "cpu",
            "output": str(tmp_path),
            **options,
        },
    )
    parts, device = open_parts(settings), torch.device("cpu")
    trainee = new_trainee(settings, parts.train.data, device)
    files, report = RunFiles(tmp_path, "run"), Report(False)
    return training_loop(settings, parts, trainee, files, device, Processes(), report, "")


def rate(values, at, steps):
    """Linear warm-up from lr / 100, then constant, or a cosine to min_lr."""
    top, warmup = values["lr"], round(values.get("warmup", 0.0) * steps)
    if at < warmup:
        return top / 100 + (top - top / 100) * at / warmup
    if values["scheduler"] == "none":
        return top
    low = top * values.get("min_lr", 0.0)
    phase = math.pi * (at - warmup) / (steps - warmup)
    return low + (top - low) * (1 + math.cos(phase)) / 2


def plain_steps(model, average, batches, values, steps, seed):
    """What the recipe says, in plain PyTorch."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [w for w in trained if w.ndim <= 1], "weight_decay": 0.0},
        {"params": [w for w in trained if w.ndim > 1], "weight_decay": values["weight_decay"]},
    ]
    momentum = {"momentum": values["momentum"]} if values["optimizer"] == "sgd" else {}
    optimizer = KINDS[values["optimizer"]](groups, lr=values["lr"], **momentum)
    for at, batch in enumerate(batches):
        lr = rate(values, at, steps)
        for group in optimizer.param_groups:
            group["lr"] = lr
        seed_step(seed, 0, at, 0)  # dropout
        log_p = F.log_softmax(model(batch.images), dim=1)
        targets = batch.targets
        if targets.ndim == 1:
            targets = F.one_hot(targets, log_p.shape[1]).float()
        smoothing = values.get("label_smoothing", 0.0)
        targets = targets * (1 - smoothing) + smoothing / log_p.shape[1]
        loss = -(targets * log_p).sum(1).mean()
        for weight in trained:
            weight.grad = None
        loss.backward()
        if values.get("clip_grad"):
            norm = torch.cat([weight.grad.flatten() for weight in trained]).norm()
            for weight in trained:
                weight.grad *= min(1.0, values["clip_grad"] / (float(norm) + 1e-6))
        optimizer.step()
        if average is not None:
            # timm's warm-up: 1 - (1 + t) ** (-2 / 3), a copy in the first steps
            t = max(at - 1, 0)
            decay = min(1 - (1 + t) ** (-2 / 3), values["ema_decay"]) if t else 0.0
            with torch.no_grad():
                for key, kept in average.items():
                    now = model.state_dict()[key]
                    mixed = kept * decay + now * (1 - decay) if now.is_floating_point() else now
                    kept.copy_(mixed)
        yield float(loss.detach()), lr


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.name)
def test_steps_are_as_written_by_hand(recipe, few_digits, tmp_path):
    options = {}
    if recipe.name == "linear-probe":
        torch.save(Small().state_dict(), tmp_path / "small.pt")
        options["checkpoint"] = str(tmp_path / "small.pt")
    loop = new_loop(recipe, few_digits, tmp_path, **options)
    other = new_loop(recipe, few_digits, tmp_path, **options)
    batches = list(loop.feed.epoch(0))
    assert len(batches) == 7
    model, values = other.model, recipe.values
    model.train(recipe.name != "linear-probe")
    loop.model.train(recipe.name != "linear-probe")
    average = None
    if values.get("ema_decay"):
        average = {key: value.clone() for key, value in model.state_dict().items()}
    before = {key: value.clone() for key, value in model.state_dict().items()}
    steps, losses = values["epochs"] * 7, []
    by_hand = plain_steps(model, average, batches[:STEPS], values, steps, loop.settings.seed)
    for batch, (loss, lr) in zip(batches, by_hand, strict=False):
        loop.train_step(batch)
        for group in loop.optimizer.param_groups:
            assert group["lr"] == pytest.approx(lr, rel=1e-9)
        loop.step += 1
        assert loop.losses.look() is None
        losses.append(loss)
        assert loop.losses.mean == pytest.approx(sum(losses) / len(losses), rel=1e-5)
        assert_near(loop.model.state_dict(), model.state_dict())
        if average is not None:
            assert_near(loop.judged_model.state_dict(), average)
    if average is None:
        assert loop.judged_model is loop.model
    after = model.state_dict()
    moved = {key for key in after if not torch.equal(after[key], before[key])}
    assert moved == ({"head.weight", "head.bias"} if options else set(before))


def assert_near(one, other):
    assert list(one) == list(other)
    for key, value in one.items():
        assert torch.allclose(value, other[key], rtol=1e-5, atol=1e-6), key


def test_the_recipes_differ_in_what_is_tested_here():
    """Every part of a step is in at least one recipe."""
    every = [recipe.values | {"augment": recipe.augment} for recipe in recipes()]
    for key in ("ema_decay", "clip_grad", "label_smoothing", "warmup", "weight_decay"):
        assert any(values.get(key) for values in every), key
    assert {values["optimizer"] for values in every} == set(KINDS)
    assert any("mixup" in values["augment"] for values in every)


def test_bfloat16(few_digits, tmp_path):
    """The weights stay float32; what the matrices multiply does not."""
    recipe = next(r for r in recipes() if r.name == "adam-plain")
    loop = new_loop(recipe, few_digits, tmp_path, precision="bf16")
    dtypes = set()
    loop.model.body[0].register_forward_hook(lambda *args: dtypes.add(args[2].dtype))
    loop.train_step(next(iter(loop.feed.epoch(0))))
    assert dtypes == {torch.bfloat16}
    assert {weight.dtype for weight in loop.model.parameters()} == {torch.float32}
    assert loop.losses.look() is None and 1.5 < loop.losses.mean < 3.5


def test_an_evaluation_is_one_by_hand(few_digits, tmp_path):
    recipe = next(r for r in recipes() if r.name == "adamw-augmented")
    loop = new_loop(recipe, few_digits, tmp_path)
    loop.model.train()
    val_loss, val_accuracy, test_loss, accuracy = loop.judge(loop.model)
    assert loop.model.training and loop.model.body[1].training
    images, labels = loop.feed.images, loop.feed.images.labels  # of the training part, as a check
    loss, right = evaluate(
        loop.model,
        images,
        lambda pixels, draws: pixels / 255,
        batch_size=13,
        processes=Processes(),
        autocast=torch.no_grad,
    )
    pixels = next(iter(images.batches([torch.arange(len(images))])))[0]
    logits = loop.model.eval()(pixels / 255)
    assert loss == pytest.approx(float(F.cross_entropy(logits, labels).detach()), abs=1e-6)
    assert right == pytest.approx(float((logits.argmax(1) == labels).float().mean()))
    assert 0 <= val_accuracy <= 1 and 0 <= accuracy <= 1 and test_loss != val_loss
