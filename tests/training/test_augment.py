"""Augment: normalising, colour, erasing; the same bits in one piece and in parts."""

import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from vitprobe.data import Transform
from vitprobe.training.augment import Augment
from vitprobe.training.augment_options import AugmentOptions
from vitprobe.training.boxes import CUT, ERASED, TRIES, random_boxes
from vitprobe.training.colour import jitter

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
SETS = {
    "none": {},
    "copies": {"crop": 0.125, "flip": 0.5},
    "flip": {"flip": 0.5},
    "adamw": {"crop": 0.125, "flip": 0.5, "jitter": 0.2, "rotation": 15, "erase": 0.5},
    "digits": {"rotation": 10, "translate": 0.1, "scale": 0.1},
    "deit": {"resized_crop": 0.3, "flip": 0.5, "rand_augment": (2, 9), "erase": 0.25},
}


def augment(**options):
    return Augment(AugmentOptions(**options), MEAN, STD)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_without_options_it_is_transform(noise):
    images, plain = noise(4), augment()
    transform = Transform(None, MEAN, STD)
    expected = torch.stack([transform(image.permute(1, 2, 0).numpy()) for image in images])
    result = plain(images, plain.draw(4, seeded()))
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("options", SETS.values(), ids=SETS.keys())
def test_parts_have_the_bits_of_the_whole(noise, options):
    images, chosen = noise(24), augment(**options)
    before = images.clone()
    draws = chosen.draw(24, seeded())
    whole = chosen(images, draws)
    assert torch.equal(images, before), "the stored images stay as they are"
    assert torch.equal(whole, chosen(images, chosen.draw(24, seeded())))
    for part in (slice(0, 7), slice(7, 8), slice(8, 24), torch.tensor([23, 0, 5])):
        assert torch.equal(chosen(images[part], draws[part]), whole[part])
    if options:
        changed = (whole != augment()(images, draws)).flatten(1).any(1).sum()
        assert changed >= 8, "images are changed"
        assert not torch.equal(whole, chosen(images, chosen.draw(24, seeded(1))))


def test_only_the_given_generator_is_used(noise):
    state, chosen = torch.get_rng_state(), augment(**SETS["deit"])
    chosen(noise(8), chosen.draw(8, seeded()))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("which", range(3))
def test_colour_is_torchvisions(noise, which):
    images, factors = noise(5), torch.tensor([0.0, 0.4, 1.0, 1.6, 2.0])
    names = ("adjust_brightness", "adjust_contrast", "adjust_saturation")
    given = [factors if i == which else torch.ones(5) for i in range(3)]
    result = jitter(images.float(), *given) / 255
    for image, factor, ours in zip(images, factors.tolist(), result, strict=True):
        expected = getattr(F, names[which])(image.float() / 255, factor)
        torch.testing.assert_close(ours, expected, rtol=0, atol=2e-6)


def test_jitter_draws_factors_around_one():
    grey = torch.full((4000, 3, 1, 1), 100, dtype=torch.uint8)  # only brightness changes grey
    chosen = Augment(AugmentOptions(jitter=0.3), (0, 0, 0), (1, 1, 1))
    factors = chosen(grey, chosen.draw(4000, seeded()))[:, 0, 0, 0] * 2.55
    assert 0.7 <= factors.min() < 0.701 and 1.299 < factors.max() <= 1.3
    assert abs(factors.mean() - 1) < 0.01


def test_erasing_blanks_one_rectangle_to_the_mean(noise):
    images, chosen = noise(600, 20, 30), augment(erase=0.25)
    draws = chosen.draw(600, seeded())
    result, plain = chosen(images, draws), augment()(images, draws)
    erased = (result == 0) & (plain != 0)
    assert torch.equal(erased[:, 0], erased[:, 2]), "all channels alike"
    assert torch.equal(result.where(~erased, plain), plain), "nothing else changes"
    rows, columns = erased[:, 0].any(2), erased[:, 0].any(1)
    box = rows[:, :, None] & columns[:, None]
    assert torch.equal(erased[:, 0], box)
    share = float(box.flatten(1).any(1).float().mean())
    assert abs(share - 0.25) < 0.05
    assert box.any(0).float().mean() > 0.98, "erased everywhere"


@pytest.mark.parametrize(
    ("theirs", "given"),
    [
        (v2.RandomErasing(), ERASED),
        (v2.RandomResizedCrop(32, scale=(0.3, 1)), {**CUT, "area": (0.3, 1)}),
    ],
    ids=["erasing", "resized crop"],
)
def test_boxes_are_distributed_as_torchvisions(theirs, given):
    height, width, n = 40, 40, 3000
    boxes = random_boxes(torch.rand(n, 2 * TRIES + 2, generator=seeded()), height, width, **given)
    assert boxes.chosen.float().mean() > 0.99
    assert (boxes.top >= 0).all() and (boxes.top + boxes.height <= height).all()
    assert (boxes.left >= 0).all() and (boxes.left + boxes.width <= width).all()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = [theirs.make_params([torch.zeros(3, height, width)]) for _ in range(n)]
    names = ("i", "j", "h", "w") if "i" in drawn[0] else ("top", "left", "height", "width")
    expected = torch.tensor([[float(params[name]) for name in names] for params in drawn])
    ours = torch.stack([boxes.top, boxes.left, boxes.height, boxes.width], 1)
    error = 4 * expected.std(0) * (2 / n) ** 0.5  # four standard errors of a difference
    assert ((ours.mean(0) - expected.mean(0)).abs() < error).all()
    areas = [x[:, 2] * x[:, 3] for x in (ours, expected)]
    assert abs(areas[0].quantile(0.9) / areas[1].quantile(0.9) - 1) < 0.05


@pytest.mark.cuda
@pytest.mark.parametrize("options", SETS.values(), ids=SETS.keys())
def test_a_gpu_gives_the_same(noise, options):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    images, chosen = noise(24), augment(**options)
    draws = chosen.draw(24, seeded())
    result = chosen(images.cuda(), draws)
    assert result.is_cuda
    ours, theirs = chosen(images, draws), Augment(AugmentOptions(**options), MEAN, STD)
    # nearest neighbours and rounding to bytes may fall to the other side of a tie
    close = (theirs(images.cuda(), draws).cpu() - ours).abs() < 1e-4
    assert close.float().mean() > 0.999
