"""Words, names, globs and types ask for the sites that they say."""

import pytest
import torch
from torch import nn

from vitprobe.errors import InputError
from vitprobe.taps import select, survey

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.norm, self.relu = nn.BatchNorm2d(3), nn.ReLU()
        self.spare = nn.Linear(2, 2)

    def forward(self, x):
        return self.relu(self.norm(self.conv2(self.relu(self.conv1(x)))) + x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(Block(), Block())
        self.mask = nn.Softmax(0)
        self.lstm = nn.LSTM(8, 4, batch_first=True)

    def forward(self, x):
        x = self.body(x)
        self.mask(x)
        return self.lstm(x[:, 0])[0]


@pytest.fixture(scope="module")
def table():
    torch.manual_seed(0)
    return survey(Net(), IMAGES)


def names(selection):
    return [site.name for site in selection.sites]


INSIDE = ["conv1", "relu", "conv2", "norm", "relu#2"]
FIRST, SECOND = ([f"body.{i}.{name}" for name in INSIDE] for i in (0, 1))


def test_all_is_every_distinct_activation(table):
    chosen = select(table)
    assert names(chosen) == [*FIRST, *SECOND, "lstm", "lstm[1][0]", "lstm[1][1]"]
    assert chosen.folded == {
        "body.0": "body.0.relu#2",
        "body.1": "body.1.relu#2",
        "body": "body.1.relu#2",
        "output": "lstm",
    }
    assert set(chosen.left_out) == {"mask", "body.0.spare", "body.1.spare"}
    assert "mixes examples" in chosen.left_out["mask"]
    assert "never fires" in chosen.left_out["body.0.spare"]


def test_modules_is_every_site_that_fires(table):
    chosen = select(table, "modules")
    assert len(chosen.sites) == 10 + 3 + 3 + 1 and chosen.folded == {}
    assert names(chosen)[5] == "body.0" and chosen.sites[5].twin == "body.0.relu#2"


def test_blocks_is_block_outputs_and_the_output(table):
    chosen = select(table, "blocks")
    assert names(chosen) == ["body.0", "body.1", "output"] and chosen.folded == {}
    assert {s.block for s in table if s.name.startswith("body.0.")} == {"body.0"}
    assert table["body"].block == table["lstm"].block == ""


def test_a_site_asked_for_by_name_appears_though_all_folds_it(table):
    chosen = select(table, ["body.1", "all", "output"])
    assert names(chosen)[-5:] == ["body.1", "lstm", "lstm[1][0]", "lstm[1][1]", "output"]
    assert chosen.folded == {"body.0": "body.0.relu#2", "body": "body.1.relu#2"}


@pytest.mark.parametrize(
    "layers, expected",
    [
        ("body.0.relu#2", ["body.0.relu#2"]),
        ("lstm[1][0]", ["lstm[1][0]"]),
        ("*.conv?", ["body.0.conv1", "body.0.conv2", "body.1.conv1", "body.1.conv2"]),
        ("*.relu", ["body.0.relu", "body.1.relu"]),
        ("body.[1]*", [*SECOND, "body.1"]),
        ("body.1*", [*SECOND, "body.1"]),
        ("BatchNorm2d", ["body.0.norm", "body.1.norm"]),
        (nn.BatchNorm2d, ["body.0.norm", "body.1.norm"]),
        (nn.modules.batchnorm._BatchNorm, ["body.0.norm", "body.1.norm"]),
        (["output", "body.0.conv1", "output"], ["body.0.conv1", "output"]),
        (("*.norm", "blocks"), ["body.0.norm", "body.0", "body.1.norm", "body.1", "output"]),
    ],
)
def test_patterns_keep_firing_order(table, layers, expected):
    assert names(select(table, layers)) == expected


def test_what_a_pattern_leaves_out_is_said(table):
    chosen = select(table, ["mask*", "*.spare", "output"])
    assert names(chosen) == ["output"]
    assert list(chosen.left_out) == ["mask", "body.0.spare", "body.1.spare"]


@pytest.mark.parametrize(
    "layers, message",
    [
        ("body.0.conv3", r"no layer matches 'body.0.conv3'.*did you mean 'body.0.conv."),
        ("bloks", r"did you mean 'blocks'"),
        ("Conv2D", r"did you mean 'Conv2d'"),
        ("nothing.*", r"no layer matches 'nothing\.\*'"),
        ("mask", r"'mask' cannot be read: mixes examples"),
        ("body.0.spare", r"'body.0.spare' cannot be read: never fires"),
        (["output", "mask"], r"'mask' cannot be read: mixes examples"),
        ("Softmax", r"no layer is left .*'mask': mixes examples"),
        (nn.GELU, r"no module of class GELU"),
        ([], r"no layer is left of layers=.none. with tokens=.all."),
        (3, r"not 3"),
    ],
)
def test_wrong_patterns_get_one_line_that_helps(table, layers, message):
    with pytest.raises(InputError, match=message) as raised:
        select(table, layers)
    assert "\n" not in str(raised.value)


def test_wrong_tokens_and_a_model_without_blocks(table):
    with pytest.raises(InputError, match="did you mean 'patches'"):
        select(table, "all", "patch")
    with pytest.raises(InputError, match="'output' cannot be read: no tokens='cls'"):
        select(table, "output", "cls")
    plain = survey(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()), IMAGES)
    with pytest.raises(InputError, match="no blocks found"):
        select(plain, "blocks")


def test_survey_is_a_sequence_with_names(table):
    assert table[0] is table["body.0.conv1"] and len(table[:3]) == 3
    assert table[-1].name == "body.1.spare" and len(list(table)) == len(table)
    with pytest.raises(InputError, match="unknown layer 'boddy'.*did you mean 'body'"):
        table["boddy"]
