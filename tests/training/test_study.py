"""Studies as files: the ready ones, what a file says, and what is refused, by key."""

import pytest
from made_study import TEXT, write

from vitprobe.errors import InputError
from vitprobe.training.study import Entry, chosen, read_study, ready_studies, short_names

ENDS = ("", "-cifar100", "-digits", "-imagenet-100")


def test_the_ready_ones():
    ready = [f"{kind}-size{end}" for kind in ("data", "model") for end in ENDS]
    assert ready_studies() == [*ready, "small-data"]
    small, size = read_study("small-data"), read_study("data-size")
    assert [entry.name for entry in small.models] == ["vit", "mini-vit", "base-vit", "resnet18"]
    assert [entry.label for entry in small.pretraining] == ["none", "cifar100", "imagenet-100"]
    assert small.pretraining[2].name == "imagefolder:data/imagenet-100"
    assert small.fractions == (1.0,)
    assert [entry.name for entry in size.models] == ["vit", "resnet18"]
    assert size.fractions == (0.03, 0.1, 0.3, 1.0)
    assert size.pretraining == (Entry("none", "none"),)
    for study in (small, size):
        assert study.dataset == "cifar10" and len(study.seeds) == 3
        vit = study.models[0].options  # else pre-training and scratch would follow other defaults
        assert {"patch_size", "dim", "depth", "heads", "mlp_dim", "dropout"} <= set(vit)
        assert {"recipe", "epochs", "batch_size"} <= set(study.options)


@pytest.mark.parametrize("kind", ["data-size", "model-size"])
def test_the_ready_ones_of_a_kind_have_short_names(kind):
    short = short_names(kind)
    assert sorted(short) == ["cifar10", "cifar100", "digits", "imagenet-100"]
    assert short["cifar10"] == kind and short["digits"] == f"{kind}-digits"
    for word in short:
        study = read_study(word, kind)
        assert study.name == short[word] and word in study.dataset
        assert len(study.seeds) == (2 if study.name == "model-size-digits" else 3)
        assert len(study.pretraining) == 1
        if kind == "data-size":
            assert study.fractions[-1] == 1 and len(study.fractions) > 2
        else:
            families = [entry.family for entry in study.models]
            assert families == ["ViT"] * 3 + ["ResNet"] * 3 and study.fractions == (1.0,)
    with pytest.raises(InputError, match="use cifar10, cifar100, digits, imagenet-100, or the"):
        read_study("xyz", kind)


def test_a_family_is_of_a_model_alone(tmp_path):
    text = TEXT.replace('label = "small ViT"', 'label = "small ViT"\nfamily = "ViT"')
    assert [entry.family for entry in read_study(write(tmp_path, text)).models] == ["ViT", ""]
    with pytest.raises(InputError, match=r"unknown key 'family' in \[\[pretraining\]\]"):
        read_study(write(tmp_path, TEXT.replace('label = "pre"', 'family = "pre"')))


def test_a_file(tmp_path):
    study = read_study(write(tmp_path))
    assert (study.name, study.title, study.dataset) == ("mine", "Three models", "digits")
    assert study.seeds == (3, 1) and study.fractions == (0.1, 1.0)
    assert study.options == {"epochs": 4, "batch_size": 32}
    assert study.models == (
        Entry("vit", "small ViT", {"patch_size": 8, "epochs": 5}),
        Entry("resnet20", "resnet20"),
    )
    assert study.pretraining[1] == Entry("digits", "pre", {"epochs": 7, "lr": 0.01})
    assert [entry.word for entry in study.models] == ["small_vit", "resnet20"]


def test_what_may_be_left_out(tmp_path):
    study = read_study(write(tmp_path, '[study]\ndataset="digits"\n[[model]]\nmodel="vit"\n'))
    assert (study.title, study.seeds, study.fractions) == ("mine", (0,), (1.0,))
    assert study.pretraining == (Entry("none", "none"),) and study.options == {}


@pytest.mark.parametrize(
    ("label", "word"),
    [
        ("ImageNet 100", "imagenet_100"),
        ("imagefolder:data/imagenet-100", "imagenet_100"),
        ("npz:../a b/x.npz", "x.npz"),
        ("mini-vit@pretrained", "mini_vit_pretrained"),
        ("Größe", "größe"),
    ],
)
def test_words_of_file_names(label, word):
    assert Entry("any", label).word == word


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("batch-size", "batch_sizes", "unknown key 'batch_sizes' in [train]; did you mean 'batch"),
        ("patch_size", "patchsize", "'patchsize' in [[model]]; did you mean 'patch_size'"),
        ("lr = 0.01", "learning = 1", "unknown key 'learning' in [[pretraining]]"),
        ("[train]", "[training]", "unknown key 'training' in the file; did you mean"),
        ("seeds", "seed", "unknown key 'seed' in [study]; did you mean 'seeds'"),
        ("batch-size", "seed", "'seed' in [train] differs from run to run"),
        ("patch_size = 8", 'dataset = "svhn"', "'dataset' in [[model]] differs from run to run"),
        ("[3, 1]", "[3, 3]", "seeds in [study] names the same one twice"),
        ("[3, 1]", "3", "seeds in [study] is a list of numbers such as [0, 1, 2], not 3"),
        ("[3, 1]", "[-1]", "seeds in [study] is a list"),
        ("[0.1, 1.0]", "[10, 100]", "fractions in [study] is a list of parts such as [0.1, 1.0]"),
        ("[0.1, 1.0]", "[]", "fractions in [study] is a list"),
        ('title = "Three models"', "title = 3", "title in [study] is a text, not 3"),
        ('dataset = "digits"\nseeds', "seeds", "no dataset in [study]"),
        ('model = "resnet20"', "", "no model in [[model]]"),
        ('model = "resnet20"', 'model = "vit"\nlabel="small-vit"', "two [[model]] called 'small"),
        ("[[model]]\nmodel", "[model]\nmodel", "mine.toml is not TOML"),
        ("[train]", "[train", "mine.toml is not TOML"),
    ],
)
def test_wrong_files_are_refused_by_key(tmp_path, old, new, said):
    assert old in TEXT
    with pytest.raises(InputError) as refused:
        read_study(write(tmp_path, TEXT.replace(old, new, 1)))
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert "mine.toml" in str(refused.value)


def test_a_parsers_line_is_named(tmp_path):
    with pytest.raises(InputError, match="at line 4"):
        read_study(write(tmp_path, "[study]\ndataset='digits'\nseeds = [0, \n x]\n"))


def test_one_model_as_a_table_is_refused(tmp_path):
    text = '[study]\ndataset="digits"\n[model]\nmodel="vit"\n'
    with pytest.raises(InputError, match=r"no \[\[model\]\]: the study needs at least one"):
        read_study(write(tmp_path, text))


def test_unknown_studies_and_missing_files(tmp_path):
    with pytest.raises(InputError, match="unknown study 'smal-data'; did you mean 'small-data'"):
        read_study("smal-data")
    with pytest.raises(InputError, match="use data-size, .*small-data, or the path"):
        read_study("xyz")
    with pytest.raises(InputError, match="no TOML file .*none.toml"):
        read_study(tmp_path / "none.toml")


def test_entries_are_chosen_by_label_or_name(tmp_path):
    models = read_study(write(tmp_path)).models
    assert chosen(models, ["resnet20", "vit"], "--models") == models
    assert chosen(models, ["small ViT"], "--models") == models[:1]
    with pytest.raises(InputError, match="--models: the study has no 'resnet21'; did you mean"):
        chosen(models, ["resnet21"], "--models")
