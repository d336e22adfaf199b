"""Probes: numbers of others to the digit, scikit-learn's on features taken apart, roles, blanks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import vitprobe
from vitprobe.analyses.probe_data import probe_data
from vitprobe.analyses.probe_roles import roles_of
from vitprobe.data import load_data
from vitprobe.errors import InputError
from vitprobe.input_options import InputOptions
from vitprobe.passes.inputs import prepare
from vitprobe.passes.run import run


@pytest.fixture(scope="module")
def pixels():
    """scikit-learn's digits: rows 0-999 to train on, the others to test on; (N, 1, 8, 8)."""
    x, y = load_digits(return_X_y=True)
    images, labels = torch.from_numpy(x).reshape(-1, 1, 8, 8), torch.from_numpy(y)
    return TensorDataset(images[:1000], labels[:1000]), TensorDataset(images[1000:], labels[1000:])


def of_pixels(pixels, **options):
    train, test = pixels
    return vitprobe.probe(nn.Flatten().double(), test, train=train, layers="all", **options)


@pytest.mark.parametrize(("l2", "accuracy"), [(1e-3, 0.890841), (1, 0.892096), (100, 0.894605)])
def test_ridge_of_raw_pixels(pixels, l2, accuracy):
    result = of_pixels(pixels, l2=l2)
    assert result["accuracy"].item() == pytest.approx(accuracy, abs=1e-6)  # 6 digits, cut
    p = result["accuracy"].item()
    assert result["accuracy_se"].item() == pytest.approx((p * (1 - p) / 796) ** 0.5)
    assert result["l2"].item() == l2 and result.attrs["examples_train"] == 1000


@pytest.mark.parametrize(
    ("shots", "l2", "accuracies"),
    [
        (1, None, [0.567127, 0.529486, 0.579674]),
        (10, None, [0.791719, 0.770389, 0.805521]),
        (10, 1, [0.762861, 0.756587, 0.780427]),
        (5, 2**-10, [0.398996, 0.304893, 0.509410]),  # double descent
    ],
)
def test_few_shots_as_big_vision(pixels, shots, l2, accuracies):
    result = of_pixels(pixels, shots=shots, draws=3, convention="big_vision", l2=l2)
    np.testing.assert_allclose(result["accuracy_of_draw"].values[0], accuracies, atol=1e-6)
    assert result["accuracy"].item() == pytest.approx(np.mean(accuracies), abs=1e-6)
    error = np.std(accuracies, ddof=1) / 3**0.5
    assert result["accuracy_se"].item() == pytest.approx(error, rel=1e-4)
    assert result.attrs["accuracy_se_of"] == "draws"


class Small(nn.Module):
    """A convolution with its norm, and two linear layers: of 8, 8 and 10 numbers."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 5, 4)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).relu().mean((2, 3)))


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(5)
    model = Small()
    model.norm.running_mean += 0.3
    return model.eval()


@pytest.fixture(scope="module")
def taken(small):
    """Mean-pooled features of `norm`, float64, and labels, of the parts of digits."""
    found = {}
    for split in ("train", "test"):
        data = load_data("digits", split=split)
        x = torch.from_numpy(data.images).float()[:, None].expand(-1, 3, -1, -1) / 255
        x = (x - torch.tensor(data.mean)[:, None, None]) / torch.tensor(data.std)[:, None, None]
        with torch.no_grad():
            found[split] = small.norm(small.conv(x)).mean((2, 3)).double().numpy(), data.labels
    return found


def accuracy_of(result):
    return result["accuracy"].sel(layer="norm").item()


def test_ridge_from_sums(small, taken):
    """Digits by name: images to fit on are summed; the penalty as on held-out images by hand."""
    result = vitprobe.probe(small, "digits")
    here = result.sel(layer="norm")
    assert here["solved_by"].item() == "sums" and here["features"].item() == 8
    (x, y), (test_x, test_y) = taken["train"], taken["test"]
    fitted = Ridge(alpha=here["l2"].item()).fit(x, np.eye(10)[y] * 2 - 1)
    expected = (fitted.predict(test_x).argmax(1) == test_y).mean()
    assert here["accuracy"].item() == pytest.approx(expected, abs=1e-12)
    given = vitprobe.probe(small, "digits", l2=0.7)
    fitted = Ridge(alpha=0.7).fit(x, np.eye(10)[y] * 2 - 1)
    expected = (fitted.predict(test_x).argmax(1) == test_y).mean()
    assert accuracy_of(given) == pytest.approx(expected, abs=1e-12)
    assert result.attrs["chance"] == pytest.approx(0.1, abs=0.02)
    assert result["layer"].values.tolist() == ["conv", "norm", "head"]


def test_the_penalty_is_the_best_on_held_out_images(small, taken):
    images = probe_data("digits", None, InputOptions())
    reader = vitprobe.ProbeReader(l2=[1e4, 3e-3, 1.0, 1e2])
    ((result,),) = run(prepare([small], images, InputOptions()), [reader])
    x, y = taken["train"]
    accuracies = []
    for l2 in (3e-3, 1.0, 1e2, 1e4):
        fitted = Ridge(alpha=l2).fit(x[reader.roles.fit], (np.eye(10)[y] * 2 - 1)[reader.roles.fit])
        held = reader.roles.held
        accuracies.append((fitted.predict(x[held]).argmax(1) == y[held]).mean())
    best = max(accuracies)
    expected = [l2 for l2, a in zip((3e-3, 1.0, 1e2, 1e4), accuracies, strict=True) if a == best]
    assert result["l2"].sel(layer="norm").item() == expected[-1]


def test_logistic_regression_is_scikit_learns(small, taken):
    result = vitprobe.probe(small, "digits", layers="norm", solver="logistic", l2=2.0)
    (x, y), (test_x, test_y) = taken["train"], taken["test"]
    scaler = StandardScaler().fit(x)
    fitted = LogisticRegression(C=0.5, tol=1e-8, max_iter=5000).fit(scaler.transform(x), y)
    expected = (fitted.predict(scaler.transform(test_x)) == test_y).mean()
    assert accuracy_of(result) == pytest.approx(expected, abs=1e-12)


def test_nearest_neighbours_are_scikit_learns(small, taken):
    result = vitprobe.probe(small, "digits", layers="norm", solver="knn", k=7, temperature=0.1)
    (x, y), (test_x, test_y) = taken["train"], taken["test"]
    x, test_x = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (x, test_x))
    # of vectors of length 1: squared distance = 2 - 2 cosine
    neighbours = KNeighborsClassifier(7, weights=lambda d: np.exp((1 - d**2 / 2) / 0.1)).fit(x, y)
    expected = (neighbours.predict(test_x) == test_y).mean()
    assert accuracy_of(result) == pytest.approx(expected, abs=1 / 360 + 1e-9)


@pytest.mark.parametrize("options", [{}, {"shots": 3}, {"solver": "knn"}], ids=str)
def test_neither_batches_nor_order_matter(small, options):
    torch.manual_seed(3)
    images = torch.randn(150, 3, 32, 32) + torch.arange(150)[:, None, None, None] % 3 / 8
    data = TensorDataset(images, torch.arange(150) % 3)
    first = vitprobe.probe(small, data, batch_size=150, **options)
    for how in ({"batch_size": 37}, {"batch_size": 64, "order": "file"}):
        other = vitprobe.probe(small, data, **how, **options)
        np.testing.assert_array_equal(first["accuracy"].values, other["accuracy"].values)
        np.testing.assert_allclose(first["l2"].values, other["l2"].values, rtol=1e-5)


def test_sums_and_features_give_the_same(small):
    """A Dataset does not say its classes before it is read: all features are kept."""
    named = probe_data("digits", None, InputOptions())
    reader = vitprobe.ProbeReader()
    ((streamed,),) = run(prepare([small], named, InputOptions()), [reader])
    rows = {key: getattr(reader.roles, key) for key in ("fit", "held", "test")}

    class Unknown(torch.utils.data.Dataset):
        name, mean, std, image_size, num_classes = "digits", named.mean, named.std, 32, None
        trained = named.trained

        def __len__(self):
            return len(named)

        def __getitem__(self, index):
            x = torch.from_numpy(np.array(named[index][0])).permute(2, 0, 1).float() / 255
            mean, std = (torch.tensor(each)[:, None, None] for each in (named.mean, named.std))
            return (x - mean) / std, named[index][1]

    reader = vitprobe.ProbeReader()
    inputs = prepare([small], Unknown(), InputOptions())
    with pytest.MonkeyPatch.context() as patch:  # the same images to fit on and to choose by

        def same(loader, **options):
            return replace(roles_of(loader, **options), **rows)

        patch.setattr("vitprobe.analyses.probe_reader.roles_of", same)
        ((kept,),) = run(inputs, [reader])
    assert kept["solved_by"].values.tolist() == ["features"] * 3
    np.testing.assert_array_equal(kept["accuracy"].values, streamed["accuracy"].values)
    np.testing.assert_allclose(kept["l2"].values, streamed["l2"].values, rtol=1e-5)


def test_no_image_is_on_both_sides():
    named = probe_data("digits", None, InputOptions())
    assert (len(named), named.trained) == (1797, 1437)
    train, test = (load_data("digits", split=split) for split in ("train", "test"))
    ends = ((0, train, 0), (1436, train, 1436), (1437, test, 0), (1796, test, 359))
    for index, data, row in ends:
        assert named[index][1] == data.labels[row]
        np.testing.assert_array_equal(np.array(named[index][0])[..., 0], data.images[row])
    roles = roles_of(prepare([nn.Flatten()], named, InputOptions()).loader, hold=True)
    assert sorted(roles.order.tolist()) == list(range(1797)) and (roles.test >= 1437).all()
    shares = np.bincount(named.labels[roles.held]) / np.bincount(named.labels[:1437])
    assert (abs(shares - 0.2) < 0.005).all()


def test_a_file_without_parts_keeps_a_fifth_for_the_test(tmp_path, small):
    data = load_data("digits", split="test")
    np.savez(tmp_path / "x.npz", images=data.images, labels=data.labels)
    named = probe_data(f"npz:{tmp_path}/x.npz", None, InputOptions())
    assert named.trained == 290 and len(named) == 360  # a fifth of every class
    first = np.array([np.array(named[k][0])[..., 0] for k in range(360)]).reshape(360, -1)
    assert len(np.unique(first, axis=0)) == len(np.unique(data.images.reshape(360, -1), axis=0))
    result = vitprobe.probe(small, f"npz:{tmp_path}/x.npz", layers="norm")
    assert "has no test part: 70 of its images" in result.attrs["notes"]
    with pytest.raises(InputError, match="trained on and tested on the same images"):
        probe_data(f"npz:{tmp_path}/x.npz", f"npz:{tmp_path}/x.npz", InputOptions())
    with pytest.raises(InputError, match="the same images: name other training images"):
        probe_data("digits", None, InputOptions(split="train"))


def test_beside_other_readers_the_images_are_divided():
    readers = [vitprobe.ProbeReader("blocks"), vitprobe.CKAReader("blocks")]
    (probe,), (cka,) = vitprobe.run(readers, "vit@digits", examples=200)
    assert cka.sizes["layer_a"] == probe.sizes["layer"]
    assert "training and test images are drawn from digits" in probe.attrs["notes"]
    counts = [probe.attrs[f"examples_{part}"] for part in ("train", "held_out", "test")]
    assert counts[0] + counts[2] == 200 and abs(counts[2] - 40) < 6 and counts[1] > 20
    assert probe["accuracy"].sel(layer="blocks.5").item() > 0.9


def test_a_data_loader_and_its_labels(small):
    data = load_data("digits", split="test")
    x = torch.from_numpy(data.images).float()[:, None].expand(-1, 3, -1, -1) / 255
    loader = DataLoader(TensorDataset(x, torch.from_numpy(data.labels)), 50)
    result = vitprobe.probe(small, loader)
    assert result.attrs["examples_train"] == 288 and result.attrs["examples_test"] == 72
    assert result["accuracy"].sel(layer="norm").item() > 0.3


def test_batch_norm_and_modes_are_left_alone(small):
    before = {name: value.clone() for name, value in small.state_dict().items()}
    small.train()
    try:
        vitprobe.probe(small, "digits", examples=200)
        assert small.training and small.norm.training
    finally:
        small.eval()
    for name, value in small.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_models_own_classifier(small):
    result = vitprobe.probe("resnet20@digits", "digits", layers="pool", examples=300)
    assert result.attrs["own_accuracy"] > 0.98 and result["accuracy"].item() > 0.95
    headless = vitprobe.probe(nn.Sequential(small.conv, small.norm), "digits", examples=200)
    assert "own_accuracy" not in headless.attrs


class Odd(nn.Module):
    """A layer that never varies, and one that comes only of some batches."""

    def __init__(self):
        super().__init__()
        self.same, self.seldom, self.clean = nn.Identity(), nn.Identity(), nn.Identity()

    def forward(self, x):
        x = x.mean((2, 3))
        self.same(torch.ones_like(x))
        self.clean(x.nan_to_num(posinf=0))
        if len(x) != 5:
            self.seldom(x.nan_to_num(posinf=0) * 2)
        return x


def test_blanks_have_reasons():
    data = labelled(45, 60)
    data.tensors[0][70] = torch.inf
    result = vitprobe.probe(Odd(), data, layers="all", batch_size=20, order="file")
    blank = dict(zip(result["layer"].values, result["blank"].values, strict=True))
    assert blank == {
        "same": "constant: the same for every training image",
        "clean": "",
        "seldom": "did not fire in batch 5",
        "output": "non-finite values (first in batch 3)",
    }
    for name in ("accuracy", "accuracy_se"):
        known = np.isfinite(result[name].values)
        np.testing.assert_array_equal(known, result["blank"].values == "")


UNLABELLED = np.random.default_rng(0).integers(0, 255, (40, 32, 32, 3), np.uint8)


def labelled(*counts):
    """A Dataset of so many images of each class."""
    torch.manual_seed(1)
    labels = torch.tensor([c for c, count in enumerate(counts) for _ in range(count)])
    return TensorDataset(torch.rand(len(labels), 3, 32, 32), labels)


@pytest.mark.parametrize(
    ("data", "options", "line"),
    [
        (torch.rand(40, 3, 32, 32), {}, "a tensor has no labels: give torch.utils.data"),
        (UNLABELLED, {}, "has no labels: probes need the class of every image"),
        ([torch.rand(3, 32, 32) for _ in range(20)], {}, "these images have no labels"),
        (labelled(30), {}, "images of one class only: a probe needs two or more"),
        (labelled(*[1] * 30), {}, "training images of 30 classes are too few"),
        ("digits", {"examples": 9}, "of each at least: use more images"),
        ("digits", {"shots": 120}, "needs as many of each: give fewer"),
        (labelled(9, 20), {"shots": 10}, "training images, and shots=10 needs as many"),
        ("digits", {"solver": "rigde"}, "unknown solver 'rigde'; did you mean 'ridge'"),
        ("digits", {"tokens": "class"}, "unknown tokens 'class'"),
        ("digits", {"tokens": "cls"}, "no layer of Small has tokens='cls': conv: it has no class"),
        ("digits", {"l2": -1}, "l2 takes penalties of 0 or more, not -1"),
        ("digits", {"l2": 0, "solver": "logistic"}, "l2 takes penalties above 0, not 0"),
        ("digits", {"k": 3}, "k goes with solver='knn' alone"),
        ("digits", {"solver": "knn", "k": 2000}, "k=2000: neighbours are 1 to 1,437 training"),
        ("digits", {"solver": "knn", "k": 51, "shots": 5}, "k=51: neighbours are 1 to 50 training"),
        ("digits", {"solver": "knn", "l2": 1}, "l2 goes with solver='ridge' or logistic alone"),
        ("digits", {"draws": 3}, "draws goes with shots alone"),
        ("digits", {"convention": "big_vision"}, "convention goes with shots and solver='ridge'"),
        ("digits", {"pool": (2, 2), "tokens": "first"}, "pool goes with tokens='mean' alone"),
        ("digits", {"train": "mnistt"}, "unknown data set 'mnistt'"),
        ("digits", {"layers": "nrom"}, "Small: no layer matches 'nrom'"),
        (labelled(20, 20), {"train": torch.rand(4, 3, 32, 32)}, "a tensor has no labels"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line(small, data, options, line):
    with pytest.raises(InputError) as error:
        vitprobe.probe(small, data, **options)
    assert line in str(error.value) and "\n" not in str(error.value)


def test_classes_may_be_numbered_with_gaps(small):
    """Two classes of ImageNet under their own numbers are two classes, not 900."""
    few = labelled(20, 20)
    gaps = TensorDataset(few.tensors[0], few.tensors[1] * 899)
    result, given = (vitprobe.probe(small, data, layers="norm", l2=1) for data in (gaps, few))
    np.testing.assert_array_equal(result["accuracy"], given["accuracy"])
