"""Measures in the pass of CKA: the values of `similarity` of the layers' activations."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import vitprobe
from vitprobe.errors import InputError
from vitprobe.passes import room

ALL = (
    "cka_biased", "cka_rbf", "cka_rbf:1:biased", "rsa", "rsa:squared_euclidean",
    "rsa:correlation", "rsa:cosine", "rsa:euclidean:cosine", "rsa:euclidean:spearman",
    "rsa:correlation:spearman", "rsa:euclidean:kendall", "rsa:cosine:kendall", "nbs", "nbs:angle",
    "procrustes", "procrustes:root", "gulp", "gulp:0.1:unit", "cca", "cca:mean_square", "svcca:2",
    "svcca:0.9", "pwcca", "pwcca:y", "mutual_knn:3", "mutual_knn:5:dot", "mutual_knn:5:euclidean",
    "cknna:5", "cknna:5:dot",
)  # fmt: skip
TOGETHER = [spec for spec in ALL if spec.startswith(("cca", "svcca", "pwcca", "mutual", "cknna"))]


class Layers(nn.Module):
    """Three layers of 8, 5 and 4 features, linear and not."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.second, self.third = (
            nn.Sequential(nn.Linear(p, q), nn.Tanh()) for p, q in ((12, 8), (8, 5), (5, 4))
        )

    def forward(self, images):
        return self.third(self.second(self.first(images.flatten(1))))


NAMES = ["first", "second", "third"]


@pytest.fixture(scope="module")
def images():
    return torch.randn(40, 3, 2, 2, generator=torch.Generator().manual_seed(3))


def activations(model, images):
    found, x = {}, images.flatten(1)
    with torch.no_grad():
        for name in NAMES:
            x = getattr(model, name)(x)
            found[name] = x
    return found


def compared(*models, data, **options):
    return vitprobe.cka(*models, data=data, layers=NAMES, **options)


def key(spec):
    return spec.replace(":", "_")


@pytest.fixture(scope="module")
def two():
    return Layers(0), Layers(1)


@pytest.fixture(scope="module")
def one_batch(two, images):
    measures = ["cka", *ALL]
    return compared(*two, data=images, batch_size=40, measure=measures)


@pytest.mark.parametrize("spec", ["cka", *ALL])
def test_one_batch_is_similarity(one_batch, two, images, spec):
    a, b = (activations(model, images) for model in two)
    for row in NAMES:
        for column in NAMES:
            wanted = vitprobe.similarity(a[row], b[column], spec)
            found = one_batch[key(spec)].sel(layer_a=row, layer_b=column).item()
            # float32 kernels of CKA; float64 else
            assert found == pytest.approx(wanted, abs=2e-5 if "cka" in spec else 1e-8)
            own = one_batch[f"{key(spec)}_aa"].sel(layer_a=row, layer_a2=column).item()
            wanted = vitprobe.similarity(a[row], a[column], spec)
            rough = 2e-5 if "cka" in spec else 1e-6 if row != column else 1e-4  # a root near 0
            assert own == pytest.approx(wanted, abs=rough)


@pytest.fixture(scope="module")
def batches(two, images):
    return compared(*two, data=images[:37], batch_size=10, measure=",".join(["cka", *ALL]))


def parts(two, images):
    """Of each batch, both models' activations."""
    return [[activations(model, part) for model in two] for part in images[:37].split(10)]


@pytest.mark.parametrize("distance", ["euclidean", "correlation"])
def test_rsa_is_that_of_all_pairs_within_batches(batches, two, images, distance):
    from scipy.spatial.distance import pdist

    spec = "rsa" if distance == "euclidean" else f"rsa:{distance}"
    for row in NAMES:
        lists = [
            np.concatenate(
                [pdist(part[side][row].double(), distance) for part in parts(two, images)]
            )
            for side in (0, 1)
        ]
        value = batches[key(spec)].sel(layer_a=row, layer_b=row).item()
        assert value == pytest.approx(np.corrcoef(*lists)[0, 1], abs=1e-9)


@pytest.mark.parametrize("spec", ["nbs:angle", "procrustes", "gulp", "rsa:euclidean:spearman"])
def test_means_over_batches(batches, two, images, spec):
    sizes = [10, 10, 10, 7]
    values = [
        vitprobe.similarity(part[0]["first"], part[1]["third"], spec) for part in parts(two, images)
    ]
    mean = np.average(values, weights=sizes)
    spread = sum((n * (v - mean)) ** 2 for n, v in zip(sizes, values, strict=True))
    cell = {"layer_a": "first", "layer_b": "third"}
    assert batches[key(spec)].sel(cell).item() == pytest.approx(mean, abs=1e-8)
    error = math.sqrt(4 / 3 * spread) / 37
    assert batches[f"{key(spec)}_se"].sel(cell).item() == pytest.approx(error, rel=1e-6)


@pytest.mark.parametrize("spec", TOGETHER)
def test_all_examples_together(batches, two, images, spec):
    a, b = (activations(model, images[:37]) for model in two)
    found = batches[key(spec)].sel(layer_a="first", layer_b="second").item()
    assert found == pytest.approx(vitprobe.similarity(a["first"], b["second"], spec), abs=1e-9)
    assert batches[f"{key(spec)}_se"].isnull().all()


def test_notes_say_how_batches_are_combined(batches):
    notes = batches.attrs["notes"]
    assert "nbs, nbs:angle, procrustes, procrustes:root, gulp" in notes
    assert "the mean over batches of 10, which depends on their size" in notes
    assert "all examples together, without a standard error" in notes
    assert "rsa:cosine" in notes and "all pairs of examples within batches" in notes


def test_what_a_variable_says(batches):
    told = batches["procrustes_root"].attrs
    assert (told["measure"], told["distance"], told["option_form"]) == (
        "procrustes:root",
        1,
        "root",
    )
    assert batches["rsa"].attrs["option_distance"] == "euclidean"
    assert batches.attrs["measures"] == ", ".join(ALL)


@pytest.mark.parametrize("batch_size", [7, 40])
def test_kinds_of_data_are_put_in_their_rows(two, images, batch_size):
    """Seeded order, a DataLoader, a stream: the same examples are the same numbers."""
    data = TensorDataset(images, torch.arange(40))
    wanted = {
        spec: vitprobe.similarity(*(activations(model, images)["second"] for model in two), spec)
        for spec in ("mutual_knn:4", "cca")
    }
    ways = {
        "seeded": {"data": data, "batch_size": batch_size},
        "loader": {"data": DataLoader(data, batch_size=batch_size)},
        "file": {"data": data, "batch_size": batch_size, "order": "file"},
        "stream": {"data": iter(list(images)), "batch_size": batch_size, "examples": 40},
    }
    for way, options in ways.items():
        found = compared(*two, measure=list(wanted), **options)
        for spec, value in wanted.items():
            got = found[key(spec)].sel(layer_a="second", layer_b="second").item()
            assert got == pytest.approx(value, abs=1e-9), way


def test_examples_of_a_larger_set():
    """Places in the data beyond the number of examples."""
    found = vitprobe.cka("vit@digits", layers="output", examples=60, measure="mutual_knn,svcca:3")
    assert found["mutual_knn"].item() == 1 and found["svcca_3"].item() == pytest.approx(1)


class Blanks(nn.Module):
    """Layers that are still, that a batch does not reach, or that overflow."""

    def __init__(self):
        super().__init__()
        self.fine, self.still, self.late, self.spoilt = (nn.Identity() for _ in range(4))
        self.calls = 0

    def forward(self, images):
        x = self.fine(images.flatten(1) + 0)
        self.still(x * 0 + 2)
        self.calls += 1
        if self.calls != 4:  # the survey makes two
            self.late(x * 2)
        bad = torch.where(torch.arange(len(x)) == 1, torch.inf, 0.0)
        return self.spoilt(x + (bad[:, None] if self.calls == 4 else 0)).sum(1, keepdim=True)


@pytest.fixture(scope="module")
def blanks(images):
    asked = "rsa,rsa:cosine,rsa:euclidean:spearman,nbs,cka_rbf,mutual_knn:3,cca"
    names = ["fine", "still", "late", "spoilt", "output"]
    return vitprobe.cka(Blanks(), data=images, layers=names, batch_size=8, measure=asked)


def test_blanks_have_reasons(blanks):
    for name in ("rsa", "rsa_cosine", "rsa_euclidean_spearman", "nbs", "cka_rbf", "mutual_knn_3"):
        reasons = dict(zip(blanks["layer_a"].values, blanks[f"{name}_blank_a"].values, strict=True))
        assert reasons["fine"] == "", name
        assert "constant activations" in reasons["still"], name
        assert reasons["late"].startswith("did not fire in batch"), name
        assert reasons["spoilt"].startswith("non-finite values"), name
        for layer, reason in reasons.items():
            blank = blanks[name].sel(layer_a=layer, layer_b="fine").isnull().item()
            assert blank == bool(reason), (name, layer)
    assert blanks["blank_a"].sel(layer_a="late").item().startswith("did not fire")


def test_cca_of_wide_layers(two, images):
    found = compared(two[0], data=images[:9], batch_size=9, measure="cca,pwcca")
    assert (
        "8 independent features of 9 examples" in found["cca_blank_a"].sel(layer_a="first").item()
    )
    assert found["cca"].sel(layer_a="first").isnull().all()
    assert found["pwcca"].sel(layer_a="second", layer_b="third").notnull()


def test_readers_beside_each_other(two, images):
    """In `vitprobe.run`, with the same numbers."""
    readers = [
        vitprobe.MeasuresReader("rsa,cca", NAMES),
        vitprobe.CKAReader(NAMES),
    ]
    (measures, *_), (cka, *_) = vitprobe.run(readers, list(two), images, batch_size=10)
    both = compared(*two, data=images, batch_size=10, measure="cka,rsa,cca")
    for name, result in (("rsa", measures), ("cca", measures), ("cka", cka)):
        assert result[name].identical(both[name])
    assert measures.attrs["analysis"] == "measures" and both.attrs["analysis"] == "cka"


def refused(*models, **options):
    with pytest.raises(InputError) as error:
        compared(*models, **options)
    return str(error.value)


def test_wrong_input(two, images):
    def why(**options):
        return refused(*two, data=options.pop("data", images), **options)

    assert "did you mean 'procrustes'?" in why(measure="cka,procrustus")
    assert "mutual_knn:40 needs 41 examples or more, not 40" in why(measure="mutual_knn:40")
    data = TensorDataset(images, torch.arange(40))
    assert "takes each example once: give one pass" in why(measure="cka,cca", passes=2, data=data)
    assert "how many there are is not known" in why(measure="cca", data=(x for x in images))
    assert "estimator='biased' is of cka" in why(measure="rsa", estimator="biased")
    with pytest.raises(InputError, match="cka is measured by CKAReader"):
        vitprobe.MeasuresReader("cka,rsa")


def test_memory_is_counted(two, images, monkeypatch):
    monkeypatch.setattr(room, "free_on", lambda device: 20_000)
    why = refused(*two, data=images, batch_size=10, measure="mutual_knn:3")
    assert "the sums of measures need" in why
    assert "fewer examples (examples), fewer layers (layers='blocks')" in why
    monkeypatch.setattr(room, "free_on", lambda device: 2**40)
    assert compared(*two, data=images, measure="mutual_knn:3")["mutual_knn_3"].notnull().all()


def test_passes_repeat_images(two, images):
    """The same examples twice are no more examples."""
    data = TensorDataset(images, torch.arange(40))
    once, twice = (
        compared(*two, data=data, batch_size=5, measure="rsa,nbs", passes=passes)
        for passes in (1, 2)
    )
    for name in ("rsa_se", "nbs_se"):
        assert 0.5 < (twice[name] / once[name]).mean() < 1.5
