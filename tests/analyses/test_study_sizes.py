"""Studies of data and of model sizes: every number at its place, from the models themselves."""

import numpy as np
import pytest
from made_models import SIZES, TEXT, MadeTrain
from made_study import write

import vitprobe
from vitprobe.analyses.study_result import relative_depths, relative_places
from vitprobe.errors import InputError
from vitprobe.training.diverged import Diverged

pytestmark = pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")
SHOWN = {"examples": 40, "batch_size": 20}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sizes")


@pytest.fixture(scope="module")
def parts(folder):
    """A ViT and a ResNet on parts of the data; of the ResNet one whole run diverged."""
    train = MadeTrain({"mine-resnet20-none-f100-s1": Diverged("the loss is nan")})
    lines = []
    study = write(folder, TEXT)
    result = vitprobe.data_size(
        study, train=train, output=folder / "runs", report=lines.append, **SHOWN
    )
    return result, train, lines


@pytest.fixture(scope="module")
def sizes(folder):
    study = write(folder, SIZES, "sizes.toml")
    return vitprobe.model_size(study, train=MadeTrain(), output=folder / "runs", **SHOWN)


def spec(folder, name, model="vit"):
    return f"{model}@{folder / 'runs' / name}.pt"


def test_cka_is_that_of_each_block_with_itself_in_the_model_of_all_data(folder, parts):
    result = parts[0]
    names = [f"mine-vit-none-f{part}-s{seed}" for part, seed in ((50, 0), (100, 0), (100, 1))]
    half, whole, other = (spec(folder, name) for name in names)
    for compared, name in ((whole, "cka"), (other, "cka_other_seeds")):
        alone = vitprobe.cka(half, compared, layers="blocks", **SHOWN)
        found = result[name].sel(model="vit", fraction=0.5, seed=0).values[:3]
        np.testing.assert_allclose(found, np.diag(alone["cka"]), rtol=1e-9)
        if name == "cka":
            errors = result["cka_se"].sel(model="vit", fraction=0.5, seed=0).values[:3]
            np.testing.assert_allclose(errors, np.diag(alone["cka_se"]), rtol=1e-6)
    assert list(result["layer_name"].sel(model="vit").values[:4]) == [
        "blocks.0",
        "blocks.1",
        "output",
        "",
    ]


def test_what_seed_alone_gives_is_beside_it(parts):
    """Two models of all data: the same from either side, and 1 with itself."""
    vit = parts[0].sel(model="vit", fraction=1.0)
    np.testing.assert_array_equal(vit["cka"].values[:, :3], 1)
    np.testing.assert_array_equal(vit["cka_se"].values[:, :3], 0)
    one, two = vit["cka_other_seeds"].values[:, :3]
    np.testing.assert_allclose(one, two, rtol=1e-12)
    assert (one[:2] < 0.99).all() and (one > -1).all()


def test_distance_and_skips_are_those_of_the_commands(folder, parts):
    half = spec(folder, "mine-vit-none-f50-s1")
    at = parts[0].sel(model="vit", fraction=0.5, seed=1)
    attention = vitprobe.attention(half, **SHOWN)["distance"].mean("head")
    np.testing.assert_allclose(at["distance"], attention, rtol=1e-6)
    skips = vitprobe.skips(half, **SHOWN)
    found = at["skip_ratio"].sel(group=["patches", "cls"]).values[:4]
    np.testing.assert_allclose(found, skips["ratio"].sel(group=["patches", "cls"]), rtol=1e-6)
    assert list(at["skip_layer_name"].values[:4]) == list(skips["layer"].values)
    assert list(at["skip_kind"].values[:4]) == ["attention", "mlp"] * 2


def test_every_blank_has_its_reason(parts):
    result = parts[0]
    for value, blank in (
        ("cka", "cka_blank"),
        ("cka_other_seeds", "cka_other_seeds_blank"),
        ("distance", "distance_blank"),
    ):
        np.testing.assert_array_equal(result[value].isnull(), result[blank] != "")
    patches = result["skip_ratio"].sel(group="patches")
    np.testing.assert_array_equal(patches.isnull(), result["skip_blank"] != "")
    resnet = result.sel(model="resnet20")
    why = resnet["distance_blank"].sel(fraction=0.5).values
    assert (why == "this model has no attention: nothing in it looks like self-attention of "
            "tokens").all()  # fmt: skip
    gone = resnet.sel(fraction=1.0, seed=1)
    for blank in ("cka_blank", "distance_blank", "skip_blank"):
        assert set(gone[blank].values) == {"the loss is nan"}
    left = resnet.sel(fraction=0.5, seed=1)
    said = "the model trained on all data has no value: the loss is nan"
    assert set(left["cka_blank"].values) == {said}
    assert left["cka_other_seeds"].notnull().all()
    vit = result.sel(model="vit", fraction=1.0, seed=0)
    assert set(vit["cka_blank"].values[3:]) == {"this model has fewer of them"}


def test_accuracies_and_what_was_done(parts):
    result, _, lines = parts
    assert result["accuracy"].dims == ("model", "fraction", "seed")
    found = result["accuracy"].sel(model="vit", seed=1).values
    np.testing.assert_allclose(found, [0.53, 0.43])  # of fractions 1 and 0.5
    assert lines[-2:] == [
        "looking at vit: models 4, on digits",
        "looking at resnet20: models 3, on digits",
    ]
    attrs = result.attrs
    assert (attrs["analysis"], attrs["study"], attrs["examples"]) == ("data_size", "mine", 40)
    assert "only 2 batches" in attrs["notes"]


def test_sizes_are_compared_at_their_relative_depth(folder, sizes):
    assert list(sizes["largest"].values) == ["deep", "deep"]
    deep, flat = sizes.sel(model="deep"), sizes.sel(model="flat")
    assert list(flat["matched_layer"].values) == ["blocks.0", "blocks.2", "output", ""]
    both = [spec(folder, f"sizes-{name}-none-f100-s1") for name in ("flat", "deep")]
    alone = vitprobe.cka(*both, layers="blocks", **SHOWN)["cka"].values
    found = flat["cka"].sel(seed=1).values
    np.testing.assert_allclose(found[:3], [alone[0, 0], alone[1, 2], alone[2, 3]], rtol=1e-9)
    assert flat["cka_blank"].sel(seed=1).values[3] == "this model has fewer of them"
    np.testing.assert_array_equal(deep["cka"].values, 1)
    np.testing.assert_array_equal(flat["layer_depth"].values, [0, 1, np.nan, np.nan])
    assert sizes["parameters"].sel(model="deep") > sizes["parameters"].sel(model="flat")
    assert sizes["distance_blank"].sel(model="flat").values[0, 2] == "this model has fewer of them"


@pytest.mark.parametrize(
    ("blocks", "others", "places"),
    [
        (2, 3, [0, 2, 3]),
        (3, 2, [0, 0, 1, 2]),  # the middle lies between two: the earlier
        (3, 5, [0, 2, 4, 5]),
        (4, 6, [0, 2, 3, 5, 6]),  # 1 2/3 and 3 1/3
        (1, 4, [3, 4]),
        (3, 3, [0, 1, 2, 3]),
    ],
)
def test_relative_places(blocks, others, places):
    own, there = ([f"b{k}" for k in range(count)] + [""] for count in (blocks, others))
    assert relative_places(own, there) == places


def test_relative_depths():
    np.testing.assert_array_equal(relative_depths(["a", "b", "c", ""]), [0, 0.5, 1, np.nan])
    np.testing.assert_array_equal(relative_depths(["a", ""]), [1, np.nan])


def test_a_checkpoint_of_another_network(folder, tmp_path):
    """Under the name of one of the runs."""
    text = TEXT.replace('\n[[model]]\nmodel = "resnet20"', "").replace("[0, 1]", "[0]")
    study, train = write(tmp_path, text), MadeTrain()
    options = {"image_size": 8, "patch_size": 4, "dim": 16, "heads": 2, "mlp_dim": 16}
    train.write(tmp_path / "mine-vit-none-f50-s0.pt", model="vit", seed=0, fraction=0.5, depth=3,
                model_name="x", **options)  # fmt: skip
    with pytest.raises(InputError) as refused:
        vitprobe.data_size(study, train=train, output=tmp_path, **SHOWN)
    line = str(refused.value)
    assert "two networks" in line and "mine-vit-none-f50-s0 has 16" in line
    assert "mine-vit-none-f100-s0 has nothing" in line and "blocks.2.norm1.weight" in line


@pytest.mark.parametrize(
    ("kind", "old", "new", "said"),
    [
        ("data_size", "[1.0, 0.5]", "[0.5, 0.2]", "no fraction 1 (0.5, 0.2): each model is comp"),
        ("data_size", "[1.0, 0.5]", "[1.0]", "has no fraction but 1, so there is nothing"),
        ("model_size", "[1.0, 0.5]", "[1.0, 0.5]", "has 2 fractions of the data, and vitprobe mo"),
        ("model_size", "fractions = [1.0, 0.5]", "", None),
        (
            "model_size",
            'fractions = [1.0, 0.5]\n\n[train]\nimage_size = 8\n\n[[model]]\nmodel = "vit"',
            '\n[train]\nimage_size = 8\n\n[[model]]\nmodel = "vit"\nfamily = "ViT"',
            "family 'ViT' has one model, vit: sizes are compared within a family",
        ),
        (
            "data_size",
            '[[model]]\nmodel = "resnet20"',
            '[[model]]\nmodel = "resnet20"\n[[pretraining]]\ndataset = "none"\n[[pretraining]]\n'
            'dataset = "digits"',
            "has 2 pre-trainings (none, digits), and vitprobe data-size takes one",
        ),
        ("data_size", '"resnet20"', '"resnet21"', "unknown model 'resnet21'"),
    ],
)
def test_wrong_studies_are_refused_before_training(tmp_path, kind, old, new, said):
    assert old in TEXT
    train = MadeTrain({f"mine-vit-none-f100-s{seed}": InputError("begun") for seed in (0, 1)})
    with pytest.raises(InputError) as refused:
        getattr(vitprobe, kind)(
            write(tmp_path, TEXT.replace(old, new, 1)), train=train, output=tmp_path
        )
    assert (said or "begun") in str(refused.value) and "\n" not in str(refused.value)
    assert said is None or not train.calls
