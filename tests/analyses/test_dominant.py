"""Dominant examples that were planted, and shares and maps computed directly in float64."""

import numpy as np
import pytest
import torch
from torch import nn

import vitprobe
from vitprobe.errors import InputError, VitprobeWarning

BATCH, N = 25, 100
BRIGHT = (7, 9, 31, 40, 60, 66)  # two of each of three batches


class Apart(nn.Module):
    """Four layers that look at four quarters of the image: they have nothing to do with each
    other but for an image's brightness."""

    def __init__(self, gain=1.0):
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(3 * 4 * 8, 20, bias=False) for _ in range(4))
        self.gain = gain

    def forward(self, x):
        quarters = x.split(4, dim=2)
        return sum(part(q.flatten(1)) for part, q in zip(self.parts, quarters, strict=True))


LAYERS = [f"parts.{k}" for k in range(4)]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Apart().double()


@pytest.fixture(scope="module")
def noise():
    return torch.randn(N, 3, 16, 8, generator=torch.Generator().manual_seed(1)).double()


@pytest.fixture(scope="module")
def planted(noise):
    images = noise.clone()
    images[list(BRIGHT)] += 20
    return images


def activations(model, images):
    """Of each layer, (N, 20) float64."""
    with torch.no_grad():
        quarters = images.split(4, dim=2)
        return [part(q.flatten(1)) for part, q in zip(model.parts, quarters, strict=True)]


def hsic(x, y):
    """n(n-3) HSIC_1 of Song et al. 2012, equation 5."""
    n = len(x)
    k, m = x @ x.T, y @ y.T
    k.fill_diagonal_(0), m.fill_diagonal_(0)
    total = (k * m).sum() + k.sum() * m.sum() / ((n - 1) * (n - 2))
    return (total - 2 / (n - 2) * (k.sum(0) * m.sum(1)).sum()).item()


def direct_cka(batches):
    """batches: of each the activations of all layers."""
    sums = sum(np.array([[hsic(a, b) for b in xs] for a in xs]) for xs in batches)
    own = sums.diagonal()
    return sums / np.sqrt(np.outer(own, own))


def relative(x):
    squares = ((x - x.mean(0)) ** 2).sum(1)
    return squares / squares.mean()


def go(model, images, **options):
    return vitprobe.dominant(model, images, **{"layers": LAYERS, "batch_size": BATCH} | options)


def off_diagonal(values):
    return values[~np.eye(len(values), dtype=bool)]


def test_planted_examples_are_found_and_the_block_they_make_disappears(model, planted):
    result = go(model, planted)
    assert sorted(result["examples"].values[:6].tolist()) == list(BRIGHT)
    assert result["score"].values[5] > 5 > 2 > result["score"].values[6]
    assert result["first_share"].values.min() > 0.7
    assert off_diagonal(result["cka"].values).min() > 0.9
    assert np.abs(off_diagonal(result["cka_without"].values)).max() < 0.15
    assert set(result["layer_example"].values.tolist()) <= set(BRIGHT)
    assert result.attrs["examples_left_out"] == 8  # 2 of each batch


def test_the_maps_without_planted_ones_are_alike(model, noise):
    result = go(model, noise)
    assert np.abs(off_diagonal(result["cka"].values)).max() < 0.15
    difference = result["cka"].values - result["cka_without"].values
    assert np.abs(difference).max() < 0.1


def test_one_example_alone_in_its_batch_makes_no_block(model, noise):
    """The unbiased estimator looks at pairs of examples: it is found all the same."""
    images = noise.clone()
    images[list(BRIGHT[::2])] += 20
    result = go(model, images)
    assert sorted(result["examples"].values[:3].tolist()) == list(BRIGHT[::2])
    assert np.abs(off_diagonal(result["cka"].values)).max() < 0.3
    assert result["first_share"].values.min() > 0.7


def test_more_than_the_share_go_where_more_stand_out(model, noise):
    images = noise.clone()
    images[:5] += 20  # all in one batch, of which 5 % are two
    result = go(model, images)
    assert sorted(result["examples"].values[:5].tolist()) == list(range(5))
    assert np.abs(off_diagonal(result["cka_without"].values)).max() < 0.15
    assert result.attrs["examples_left_out"] == 5 + 3 * 2


@pytest.mark.parametrize("drop", [0, 0.05, 0.2, 0.5])
def test_values_are_those_computed_directly(model, noise, drop):
    images = noise * torch.linspace(0.5, 1.5, N, dtype=torch.float64)[:, None, None, None]
    result = go(model, images, drop=drop, top=5)
    layers = activations(model, images)
    batches = [[x[k : k + BATCH] for x in layers] for k in range(0, N, BATCH)]
    norms = np.array([np.stack([relative(x) for x in xs]) for xs in batches])  # batch, layer, n
    scores = norms.mean(1)
    np.testing.assert_allclose(result["cka"], direct_cka(batches), atol=1e-6)

    count = int(np.ceil(drop * BATCH))
    kept = []
    for xs, score in zip(batches, scores, strict=True):
        assert score.max() < 4 * np.median(score)
        rows = np.sort(np.argsort(-score)[count:])
        kept.append([x[rows] for x in xs])
    np.testing.assert_allclose(result["cka_without"], direct_cka(kept), atol=1e-6)
    assert result.attrs["examples_left_out"] == 4 * count

    whole = scores.reshape(-1)
    order = np.argsort(-whole)[:5]
    assert result["examples"].values.tolist() == order.tolist()
    np.testing.assert_allclose(result["score"], whole[order], rtol=1e-6)
    of_layers = norms.transpose(1, 0, 2).reshape(4, N)
    assert result["layer_example"].values.tolist() == of_layers.argmax(1).tolist()
    np.testing.assert_allclose(result["layer_norm"], of_layers.max(1), rtol=1e-6)

    shares = []
    for xs in batches:
        grams = [(x - x.mean(0)) @ (x - x.mean(0)).T for x in xs]
        shares.append([np.linalg.eigh(k.numpy())[0][-1] / k.trace().item() for k in grams])
    shares = np.array(shares)
    np.testing.assert_allclose(result["first_share"], shares.mean(0), rtol=1e-6)
    np.testing.assert_allclose(result["first_share_se"], shares.std(0, ddof=1) / 2, rtol=1e-5)


def test_a_share_is_rounded_up_and_not_beyond(model, noise):
    with pytest.warns(VitprobeWarning, match="one batch only"):
        for drop, count in ((0.07, 7), (0.071, 8)):  # 0.07 * 100 > 7 in floating point
            result = go(model, noise, batch_size=N, drop=drop)
            assert result.attrs["examples_left_out"] == count


def test_the_whole_map_is_that_of_cka(model, planted):
    result = go(model, planted)
    known = vitprobe.cka(model, data=planted, layers=LAYERS, batch_size=BATCH)
    np.testing.assert_allclose(result["cka"], known["cka"], atol=1e-6)
    np.testing.assert_allclose(result["cka_se"], known["cka_se"], atol=1e-6)
    assert result["layer_a"].values.tolist() == result["layer"].values.tolist() == LAYERS


def test_activations_of_one_direction_have_it_all():
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 1), nn.Linear(1, 9))
    images = torch.randn(40, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    result = vitprobe.dominant(model, images, layers=["1", "2"], batch_size=20)
    np.testing.assert_allclose(result["first_share"], 1, rtol=1e-5)


def test_single_precision_and_large_means(noise):
    """float32 of a mean 100 times the deviation; left out, outliers leave little rounding."""
    images = noise.clone()
    images[list(BRIGHT)] += 20
    images += 100
    torch.manual_seed(0)
    model = Apart().double()
    wanted = go(model, images)
    found = go(model.float(), images.float())
    for name in ("cka", "cka_without", "first_share"):
        np.testing.assert_allclose(found[name], wanted[name], atol=2e-3, err_msg=name)
    assert found["examples"].values[:6].tolist() == wanted["examples"].values[:6].tolist()


class WithBlanks(nn.Module):
    """Beside a layer of the image: one that is constant, one that is so but for bright images."""

    def __init__(self):
        super().__init__()
        self.seen, self.constant, self.bright = nn.Flatten(), nn.Identity(), nn.Identity()

    def forward(self, x):
        y = self.seen(x)
        constant = self.constant(torch.ones_like(y))
        bright = self.bright(torch.where(y.mean(1, keepdim=True) > 10, y, 1.0))
        return y + constant + bright


def test_blanks_have_reasons(planted):
    result = go(WithBlanks(), planted, layers=["seen", "constant", "bright"])
    assert result["blank"].values.tolist() == ["", "constant activations", ""]
    without = ["", "constant activations", "constant but for the examples left out"]
    assert result["blank_without"].values.tolist() == without
    assert result["first_share"].isnull().values.tolist() == [False, True, False]
    assert result["layer_example"].values[1] == -1
    assert result["cka"].isnull().values.sum() == 5
    assert result["cka_without"].notnull().values.sum() == 1
    assert set(BRIGHT) == set(result["examples"].values[:6].tolist())


def test_not_finite_is_told_and_the_rest_is_there(planted):
    images = planted.clone()
    images[30, 0, 0, 0] = torch.inf  # of the first quarter, in batch 1
    torch.manual_seed(0)
    result = go(Apart().double(), images)
    assert result["blank"].values[0] == "non-finite values (first in batch 1)"
    assert result["first_share"].isnull().values.tolist() == [True, False, False, False]
    assert sorted(result["examples"].values[:6].tolist()) == list(BRIGHT)


def test_thumbnails_are_the_images_as_the_model_sees_them():
    result = vitprobe.dominant("resnet20@digits", examples=40, batch_size=20, top=3)
    data = vitprobe.load_data("digits")
    for rank, number in enumerate(result["examples"].values.tolist()):
        picture, label = data[number]
        assert result["label"].values[rank] == label
        wanted = np.asarray(picture.resize((32, 32), 2), dtype=int)
        found = result["thumbnail"].values[rank].astype(int)
        assert found.shape == (32, 32, 3)
        assert np.corrcoef(wanted.ravel(), found.ravel())[0, 1] > 0.99


class WritesToItsInput(nn.Module):
    def __init__(self):
        super().__init__()
        self.flat = nn.Flatten()

    def forward(self, x):
        y = self.flat(x).clone()
        x.zero_()
        return y


def test_a_model_that_writes_to_its_input_does_not_spoil_them():
    images = torch.rand(32, 1, 8, 6, generator=torch.Generator().manual_seed(0))
    result = vitprobe.dominant(WritesToItsInput(), images, layers="all", batch_size=16, top=32)
    wanted = (images[result["examples"].values] * 255).round().byte().permute(0, 2, 3, 1)
    np.testing.assert_array_equal(result["thumbnail"], wanted)


def test_few_examples_and_one_batch(model, planted):
    with pytest.warns(VitprobeWarning, match="one batch only"):
        result = go(model, planted[:9], top=16)
    assert result.sizes["rank"] == 9 and result["cka_se"].isnull().all()
    with pytest.raises(InputError, match="needs 8 examples or more in a batch, not 7: .*examples"):
        go(model, planted[:7])
    with pytest.raises(InputError, match="8 examples or more in a batch, not 4: .*batch_size"):
        go(model, planted, batch_size=4)


@pytest.mark.parametrize("drop", [-0.1, 0.6, float("nan")])
def test_a_share_that_cannot_be(model, planted, drop):
    with pytest.raises(InputError, match="drop is a share of each batch, 0 to 0.5"):
        go(model, planted, drop=drop)


def test_top_that_cannot_be(model, planted):
    with pytest.raises(InputError, match="top is a number of examples, 1 or more"):
        go(model, planted, top=0)


def test_several_models_in_one_pass(model, planted):
    torch.manual_seed(5)
    other = Apart().double()
    reader = vitprobe.DominantReader(LAYERS)
    models = [{"one": model}, {"other": other}]
    ((first, second),) = vitprobe.run([reader], models, planted, batch_size=BATCH)
    for found, alone in ((first, go({"one": model}, planted)), (second, go(other, planted))):
        for name in ("first_share", "examples", "score", "cka", "cka_without", "thumbnail"):
            np.testing.assert_array_equal(found[name], alone[name], err_msg=name)
    assert (first.attrs["model"], second.attrs["model"]) == ("one", "other")
