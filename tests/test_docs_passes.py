"""docs/passes.md: its code runs and gives what it says; its tables are those of the Reader."""

import re

import pytest
import torch
from docs_pages import ROOT
from test_docs import fenced, prose

import vitprobe
from vitprobe.passes import Reader, wants

PAGE = ROOT / "docs" / "passes.md"


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What its blocks of code define, run one after the other."""
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("passes"))
        for code in fenced(PAGE, "python"):
            exec(compile(code, PAGE.name, "exec"), names)
    return names


@pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")
def test_its_code_runs(names):
    assert names["cka"]["cka"].shape == (7, 7)
    assert names["attention"].sizes["head"] == 4
    assert names["probe"]["weight"].shape == (65, 10)


def test_its_least_squares_are_those(names):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(40, 3, 2, 2, generator=generator)
    labels = torch.randint(3, (40,), generator=generator)
    ((found,),) = vitprobe.run(
        [names["LeastSquares"]("output", 3)],
        torch.nn.Flatten(),
        torch.utils.data.TensorDataset(images, labels),
        batch_size=16,
    )
    x = torch.cat([images.flatten(1), torch.ones(40, 1)], 1).double()
    wanted = torch.linalg.lstsq(x, torch.eye(3, dtype=torch.float64)[labels]).solution
    assert torch.allclose(torch.from_numpy(found["weight"].values), wanted, atol=1e-9)


def test_every_method_of_a_reader_is_told_with_its_default():
    told = dict(
        re.findall(r"^\| `(\w+)(?:\([^)]*\))?` \| ([^|]*) \|", PAGE.read_text(), re.MULTILINE)
    )
    public = {name for name in vars(Reader) if not name.startswith("_")}
    assert public <= told.keys()
    for name in ("version", "least", "distinct"):
        assert told[name] == str(getattr(Reader, name))


def test_every_want_is_told():
    kinds = {kind.__name__ for kind in wants.Want.__args__}
    assert kinds == set(re.findall(r"`(\w+)\(k, ", prose(PAGE)))
