"""A checkpoint named with the other usual ending is found."""

import pytest

from vitprobe.errors import InputError
from vitprobe.models import find_checkpoint


@pytest.mark.parametrize(("asked", "there"), [("a.pth", "a.pt"), ("a.pt", "a.pth")])
def test_either_ending_finds_the_other(tmp_path, asked, there):
    (tmp_path / there).touch()
    assert find_checkpoint(tmp_path / asked) == tmp_path / there
    (tmp_path / asked).touch()  # the file itself comes first
    assert find_checkpoint(str(tmp_path / asked)) == tmp_path / asked


def test_a_name_may_hold_dots(tmp_path):
    (tmp_path / "vit.last.pt").touch()
    assert find_checkpoint(tmp_path / "vit.last.pth") == tmp_path / "vit.last.pt"


def test_other_endings_are_not_swapped(tmp_path):
    (tmp_path / "model.ckpt").touch()
    with pytest.raises(
        InputError, match=r"no checkpoint .*model.pth, nor model.pt; .*'model.ckpt'"
    ):
        find_checkpoint(tmp_path / "model.pth")
    (tmp_path / "model.pt").touch()
    with pytest.raises(InputError, match=r"no checkpoint .*model.th; did you mean .*'model.pt'"):
        find_checkpoint(tmp_path / "model.th")


def test_what_is_missing_is_said_with_near_names(tmp_path):
    (tmp_path / "pretrained_vit.pt").touch()
    (tmp_path / "pretrained_vit.csv").mkdir()
    with pytest.raises(InputError) as caught:
        find_checkpoint(tmp_path / "pretraned_vit.pth")
    assert str(caught.value) == (
        f"no checkpoint {tmp_path / 'pretraned_vit.pth'}, nor pretraned_vit.pt; "
        "did you mean 'pretrained_vit.pt'?"
    )
    with pytest.raises(InputError, match="is a folder"):
        find_checkpoint(tmp_path)
    with pytest.raises(InputError, match="there is no folder .*nowhere"):
        find_checkpoint(tmp_path / "nowhere" / "a.pt")
    with pytest.raises(InputError, match="nor zzz.pth: check the path"):
        find_checkpoint(tmp_path / "zzz.pt")


def test_a_word_for_weights_that_is_near(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no checkpoint digts; did you mean 'digits'"):
        find_checkpoint("digts")
