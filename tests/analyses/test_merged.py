"""Shares of real runs, merged: what one run of all batches gives."""

import itertools
import random

import numpy as np
import pytest
import timm
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

import vitprobe
from vitprobe.analyses.attention_reader import AttentionReader
from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.analyses.head_subsets_reader import HeadSubsetsReader
from vitprobe.analyses.merged import reader_of
from vitprobe.errors import InputError
from vitprobe.input_options import InputOptions
from vitprobe.passes.inputs import prepare
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.merge import merged
from vitprobe.passes.partial import write_partial
from vitprobe.passes.run import run
from vitprobe.passes.share import Share

pytestmark = pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")

PIXELS = np.random.default_rng(0).integers(0, 256, (45, 16, 16, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(0)
    sizes = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3}
    return timm.models.VisionTransformer(**sizes, num_classes=5).eval()


def both():
    return [CKAReader("blocks"), AttentionReader()]


def whole_and_shares(folder, models, data, readers, count, *, passes=1, **options):
    """Datasets of one run of all batches; and the partials of so many shares of it."""

    def go(keeper=None):
        inputs = prepare(models, data, InputOptions(batch_size=4, **options), passes=passes)
        return [result for found in run(inputs, readers(), keeper=keeper) for result in found]

    folder.mkdir(exist_ok=True)
    paths = [folder / f"{index}.partial" for index in range(count)]
    for index, path in enumerate(paths):
        assert go(Keeper(path, Share(index, count))) == []
    return go(), paths


def agree(found, whole):
    """Values to 1e-12; squared errors, which are differences of sums, to 1e-12 of squared values;
    all words the same."""
    assert len(found) == len(whole)
    for one, other in zip(found, whole, strict=True):
        assert list(one.variables) == list(other.variables)
        for name in one.variables:
            mine, theirs = one[name].values, other[name].values
            if mine.dtype.kind != "f":
                assert mine.tolist() == theirs.tolist(), name
                continue
            scale = 0.0
            if name.endswith("_se"):
                mine, theirs = mine**2, theirs**2
                scale = np.nanmax(other[name.removesuffix("_se")].values ** 2, initial=0)
            np.testing.assert_allclose(mine, theirs, 1e-12, 1e-12 * scale, err_msg=name)
        assert list(one.attrs) == list(other.attrs)
        changed = {key for key in one.attrs if one.attrs[key] != other.attrs[key]}
        assert all(key.startswith("seconds_") for key in changed), changed


@pytest.fixture(scope="module")
def singles(vit, tmp_path_factory):
    """One run's results, and a partial for each of its 12 batches."""
    folder = tmp_path_factory.mktemp("singles")
    return whole_and_shares(folder, [vit], PIXELS, both, 12)


@settings(max_examples=15, deadline=None)
@given(owners=st.lists(st.integers(0, 3), min_size=12, max_size=12), chance=st.randoms())
def test_any_split_in_any_order(singles, tmp_path_factory, owners, chance):
    whole, paths = singles
    folder = tmp_path_factory.mktemp("split")
    groups = []
    for owner in set(owners):
        own = [path for path, each in zip(paths, owners, strict=True) if each == owner]
        sums = merged(own, reader_of, allow_missing=True)
        sums.notes.clear()
        groups.append(folder / f"{owner}.partial")
        write_partial(groups[-1], sums, Share())
    chance.shuffle(groups)
    found = vitprobe.merge(groups)
    agree(found, whole)
    for one, other in zip(found, vitprobe.merge(groups[::-1]), strict=True):
        xr.testing.assert_identical(one, other)


def test_all_readers_of_a_pass_in_order(singles):
    whole, paths = singles
    for order in (paths, paths[::-1], random.Random(3).sample(paths, 12)):
        found = vitprobe.merge(order)
        assert [result.attrs["analysis"] for result in found] == ["cka", "attention"]
        agree(found, whole)


@pytest.mark.parametrize(("examples", "count"), [(21, 2), (13, 8), (45, 5)])
def test_every_example_once(vit, tmp_path, examples, count):
    """The last batch is of one example, and there are shares without any batch."""
    whole, paths = whole_and_shares(tmp_path, [vit], PIXELS[:examples], both, count)
    found = vitprobe.merge(paths)
    agree(found, whole)
    cka, attention = found
    assert (cka.attrs["examples"], attention.attrs["examples"]) == (examples - 1, examples)
    assert "1 example was dropped" in cka.attrs["notes"]


@pytest.mark.parametrize("kernel", ["linear", "rbf:0.5"])
@pytest.mark.parametrize("estimator", ["unbiased", "biased"])
def test_estimators_and_passes(habits, tmp_path, estimator, kernel):
    def readers():
        return [CKAReader("modules", estimator=estimator, kernel=kernel)]

    options = {"passes": 2, "seed": 3, "examples": 30}
    whole, paths = whole_and_shares(tmp_path, [habits], PIXELS, readers, 3, **options)
    found = vitprobe.merge([paths[place] for place in (1, 2, 0)])
    agree(found, whole)
    assert (found[0].attrs["examples"], found[0].attrs["passes"]) == (28, 2)


def test_pairs_and_heads(vit, habits, tmp_path):
    def readers():
        return [CKAReader("modules"), HeadSubsetsReader(layers="modules")]

    models = [{"one": vit}, {"other": habits}]
    whole, paths = whole_and_shares(tmp_path, models, PIXELS, readers, 4)
    found = vitprobe.merge(paths)
    agree(found, whole)
    assert [result.attrs["analysis"] for result in found] == ["cka"] * 3 + ["head_subsets"]


class Moody(nn.Module):
    """Not finite where an image's red is 9, silent in a module where its green is 9."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.loud, self.quiet, self.last = nn.Tanh(), nn.Sigmoid(), nn.Flatten()

    def forward(self, images):
        x = self.first(images)
        if (images[:, 0] == 9).all(-1).all(-1).any():
            x = x * torch.nan
        x = self.loud(x)
        if not (images[:, 1] == 9).all(-1).all(-1).any():
            x = self.quiet(x) + 0
        return self.last(x)


def test_reasons_name_the_batch_of_the_whole_run(tmp_path):
    torch.manual_seed(0)
    images = torch.randn(40, 3, 8, 8)
    for example, channel in ((22, 0), (30, 0), (17, 1), (37, 1)):  # batches 5 and 7; 4 and 9
        images[example, channel] = 9

    def readers():
        return [CKAReader("modules")]

    for count in (2, 3):
        folder = tmp_path / str(count)
        whole, paths = whole_and_shares(folder, [Moody()], images, readers, count)
        for order in itertools.permutations(paths):
            (found,) = vitprobe.merge(order)
            agree([found], whole)
            reasons = dict(zip(found["layer_a"].values, found["blank_a"].values, strict=True))
            assert reasons["loud"] == "non-finite values (first in batch 5)"
            assert reasons["quiet"] == "did not fire in batch 4"


def test_skipped_images_of_all_shares_are_listed_once(vit, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for i, pixels in enumerate(PIXELS[:24]):
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
    for i in (1, 6, 9):  # batches 0 and 1, of two shares; and 2
        content = (folder / f"{i:02}.png").read_bytes()
        (folder / f"{i:02}.png").write_bytes(content[: len(content) // 2])
    data = f"imagefolder:{folder}"
    options = {"skip_bad_images": True, "order": "file"}
    whole, paths = whole_and_shares(tmp_path / "p", [vit], data, both, 2, **options)
    for order in (paths, paths[::-1]):
        found = vitprobe.merge(order)
        assert found[1].attrs["examples"] == 21
        (line,) = (each for each in found[1].attrs["notes"].splitlines() if "skipped" in each)
        assert line.startswith("3 unreadable images were skipped: ")
        assert all(line.count(f"{i:02}.png") == 1 for i in (1, 6, 9))
        for result, other in zip(found, whole, strict=True):  # listed in another order
            result.attrs["notes"] = other.attrs["notes"]
        agree(found, whole)


def test_of_some_shares_only(singles):
    _, paths = singles
    with pytest.raises(InputError, match="batches 1 and 7 of 12 are missing .shares 2/12 and 8/12"):
        vitprobe.merge([path for path in paths if path.stem not in ("1", "7")])
    cka, attention = vitprobe.merge(paths[:5], allow_missing=True)
    words = "batches 5, 6, 7, 8, 9 and 2 more of 12 are missing (shares 6/12, 7/12, 8/12, 9/12, "
    for result in (cka, attention):
        assert words in result.attrs["notes"]
    assert (cka.attrs["batches"], attention.attrs["examples"]) == (5, 20)


def test_a_single_path(vit, tmp_path):
    whole, (path,) = whole_and_shares(tmp_path, [vit], PIXELS, both, 1)
    agree(vitprobe.merge(path), whole)
    agree(vitprobe.merge(str(path)), whole)


def test_shares_without_any_images(vit, tmp_path):
    """A share may have no batch; not all of them."""
    _, paths = whole_and_shares(tmp_path, [vit], PIXELS[:8], both, 3)
    with pytest.raises(InputError, match="there are no images"):
        vitprobe.merge(paths[2], allow_missing=True)


def test_runs_that_differ(vit, habits, tmp_path):
    def readers():
        return [CKAReader("modules")]

    def first(name, model=habits, made=readers, data=PIXELS, **options):
        return whole_and_shares(tmp_path / name, [model], data, made, 2, **options)[1]

    one = first("one")
    for name, words, changed in (
        ("seed", r"\(seed 0 and 1\)", {"seed": 1}),
        ("examples", "examples planned 45 and 40", {"examples": 40}),
        ("layers", "layers a modules and all", {"made": lambda: [CKAReader()]}),
        ("kernel", "kernel linear and rbf", {"made": lambda: [CKAReader("modules", kernel="rbf")]}),
        ("model", "model a Habits and VisionTransformer", {"model": vit}),
        ("analysis", "analyses cka and cka, attention", {"model": vit, "made": both}),
    ):
        with pytest.raises(InputError, match=words):
            vitprobe.merge([one[0], first(name, **changed)[1]])
    with torch.no_grad():
        habits.head.bias += 1
    with pytest.raises(InputError, match="sha256 [0-9a-f]{12} and [0-9a-f]{12}"):
        vitprobe.merge([one[0], first("weights")[1]])


def test_another_version_of_an_estimator(singles, monkeypatch):
    monkeypatch.setattr(CKAReader, "version", CKAReader.version + 1)
    with pytest.raises(InputError, match="holds version 1 of cka's estimator, and this is version"):
        vitprobe.merge(singles[1])


@pytest.mark.parametrize(
    "name",
    ["probes", "maps", "cka_reader", "../cli", "os", ".cka", "cka.x", "", "\x1b[0m"],
)
def test_analyses_that_there_are_none_of(name):
    with pytest.raises(InputError, match="has no analysis") as error:
        reader_of(name)
    assert str(error.value).isprintable()
    assert reader_of("head_subsets") is HeadSubsetsReader
