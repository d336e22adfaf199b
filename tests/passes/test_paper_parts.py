"""Every analysis in one pass: the numbers of each alone, what a model does not allow, and the same
of several processes, of shares, and of a run that was stopped."""

import numpy as np
import pytest
import torch
from gang import gang
from paper_work import BATCH, COUNT, Plain, labelled, other_vit, paper
from pass_work import vit

import vitprobe
from vitprobe.analyses.paper_result import findings_table, left_out_table
from vitprobe.errors import InputError, Stopped
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.partial import read_partial
from vitprobe.passes.share import Share

OWN = ("skips", "localization", "dominant", "attention")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole():
    return paper()


def close(found, wanted, rtol=1e-9, atol=1e-13):
    assert [x.attrs["analysis"] for x in found] == [x.attrs["analysis"] for x in wanted]
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.sizes == theirs.sizes
        for name in theirs.variables:
            a, b = ours[name].values, theirs[name].values
            if a.dtype.kind == "f" and name not in ("value", "error"):
                scale = 2 if name.endswith("_se") else 1  # their squares are sums
                np.testing.assert_allclose(a**scale, b**scale, rtol, atol, err_msg=name)
            elif a.dtype.kind != "f":
                np.testing.assert_array_equal(a, b, err_msg=name)
        assert ours.attrs["run"] == theirs.attrs["run"]
        assert ours.attrs["examples"] == theirs.attrs["examples"]


def test_what_there_is_and_what_is_left_out(whole):
    models = [(x.attrs["analysis"], x.attrs.get("model", x.attrs.get("model_a"))) for x in whole]
    assert models == [
        ("paper", None),
        *[("cka", "vit"), ("cka", "vit"), ("cka", "cnn")],
        ("attention", "vit"),
        ("head_subsets", "vit"),
        ("skips", "vit"),
        *[("receptive_field", "vit"), ("receptive_field", "cnn")],
        *[("localization", "vit"), ("localization", "cnn")],
        *[("dominant", "vit"), ("dominant", "cnn")],
        *[("probe", "vit"), ("probe", "cnn")],
    ]
    left_out = left_out_table(whole[0])
    assert list(zip(left_out["analysis"], left_out["model"], strict=True)) == [
        ("attention", "cnn"),
        ("head_subsets", "cnn"),
        ("skips", "cnn"),
    ]
    assert left_out["reason"][0].startswith("cnn has no attention")
    assert left_out["reason"][2].startswith("cnn has no skips")
    table = findings_table(whole[0])
    assert set(table["analysis"]) == {x.attrs["analysis"] for x in whole[1:]}
    assert (table["told"] == ~table["finding"].str.contains("cannot be told")).all()


@pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")
def test_each_is_as_its_own_function_gives_it(whole):
    """The same numbers, and the same run: receptive fields of the first 32 of 72 examples."""
    how = {"data": labelled(COUNT), "batch_size": BATCH}
    alone = {name: getattr(vitprobe, name)({"vit": vit()}, **how) for name in OWN}
    both = [{"vit": vit()}, {"cnn": Plain()}]
    ((alone["cka"], *_),) = vitprobe.run([vitprobe.CKAReader("blocks", null=200)], both, **how)
    alone["probe"] = vitprobe.probe(
        {"vit": vit()}, labelled(COUNT), layers="blocks", batch_size=BATCH
    )
    alone["receptive_field"] = vitprobe.receptive_field(
        {"cnn": Plain()}, labelled(COUNT), batch_size=BATCH, examples=32
    )
    alone["head_subsets"] = vitprobe.head_subsets({"vit": vit()}, {"cnn": Plain()}, **how)
    for name, theirs in alone.items():
        model = "cnn" if name == "receptive_field" else "vit"
        ours = [x for x in whole[1:] if x.attrs["analysis"] == name]
        (ours, *_) = [x for x in ours if x.attrs.get("model", "vit") == model]
        # attention is computed by another function while it is watched
        close([ours], [theirs], rtol=2e-3, atol=1e-5)
    assert alone["receptive_field"].attrs["examples"] == 32


def test_shares_give_the_same(whole, tmp_path):
    paths = [tmp_path / f"{k}.partial" for k in range(2)]
    for k, path in enumerate(paths):
        assert paper(Keeper(path, Share(k, 2))) == []
    close(vitprobe.merge(paths[::-1]), whole)


def test_a_stopped_run_goes_on(whole, tmp_path, stop_after):
    path = tmp_path / "x.partial"

    def end():
        raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Stopped)):
        paper(Keeper(path, every=1e-9), stop_after(3, end))
    assert read_partial(path).done == {0, 1, 2}
    close(paper(Keeper(path, resume=True)), whole)
    with pytest.raises(InputError, match="is of another run"):
        paper(Keeper(path, resume=True), models=[{"vit": other_vit()}, {"cnn": Plain()}])


def test_two_processes_give_the_same(whole):
    for code, found in gang(2, paper):
        assert code == 0
        close(found, whole)


def test_each_model_is_surveyed_once(monkeypatch):
    from vitprobe.passes import surveyed

    calls = []
    for name in ("survey_named", "attention_sites", "residual_sites"):
        real = getattr(surveyed, name)

        def counted(*args, name=name, real=real):
            calls.append(name)
            return real(*args)

        monkeypatch.setattr(surveyed, name, counted)
    paper(count=24)
    assert sorted(calls) == sorted(["survey_named", "attention_sites", "residual_sites"] * 2)


def test_one_model_and_three(whole):
    alone = paper(models=[{"cnn": Plain()}], count=24)
    assert {x.attrs["analysis"] for x in alone[1:]} == {
        "cka",
        "receptive_field",
        "localization",
        "dominant",
        "probe",
    }
    rows = left_out_table(alone[0]).to_dict("records")
    assert {"analysis": "head_subsets", "model": "", "reason": rows[1]["reason"]} in rows
    assert "compares two models" in rows[1]["reason"]
    three = paper(models=[{"a": vit()}, {"b": other_vit()}, {"cnn": Plain()}], count=24)
    kinds = [x.attrs["analysis"] for x in three]
    assert kinds.count("cka") == 6 and kinds.count("head_subsets") == 4
    assert kinds.count("attention") == 2 and kinds.count("dominant") == 3
    pairs = [(x.attrs["model_a"], x.attrs["model_b"]) for x in three if "layer_a" in x.attrs]
    assert pairs == [("a", "b"), ("a", "cnn"), ("b", "a"), ("b", "cnn")]


def test_batches_that_are_too_small():
    """Dominant examples need 8."""
    few = paper(count=10, batch=5)
    table = left_out_table(few[0])
    assert "dominant" in set(table["analysis"])
    assert "8 examples or more in a batch, not 5" in " ".join(table["reason"])
    assert "cka" in {x.attrs["analysis"] for x in few}


def test_a_last_batch_counts_for_those_that_take_it():
    """Of 18 images in batches of 12, 6 are too few for dominant examples alone."""
    found = {x.attrs["analysis"]: x for x in paper(count=18)}
    assert found["attention"].attrs["examples"] == 18 and found["cka"].attrs["examples"] == 18
    assert found["dominant"].attrs["examples"] == 12
    assert "6 examples were dropped" in found["dominant"].attrs["notes"]


def test_a_model_that_fails_is_an_error():
    """It is not left out: nothing can be said of it."""

    class Broken(torch.nn.Module):
        def forward(self, x):
            raise RuntimeError("no")

    with pytest.raises(InputError, match="bad fails on images"):
        paper(models=[{"vit": vit()}, {"bad": Broken()}])
