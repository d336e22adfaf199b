"""AugmentOptions: what a recipe may say, and what it is told otherwise."""

import pytest

from vitprobe.errors import InputError
from vitprobe.training.augment_options import AugmentOptions


def test_all_are_off_by_default():
    options = AugmentOptions.from_table({})
    assert options == AugmentOptions() and not options.mixes
    assert AugmentOptions.from_table({"rand_augment": []}) == options
    assert all(not getattr(options, name) for name in options.__dataclass_fields__)


def test_a_table_is_read():
    options = AugmentOptions.from_table({"crop": 0.125, "flip": 1, "rand_augment": [2, 9]})
    assert (options.crop, options.flip, options.rand_augment) == (0.125, 1, (2, 9))
    assert AugmentOptions(mixup=0.8).mixes and AugmentOptions(cutmix=1.0).mixes


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"flipp": 0.5}, "unknown augmentation 'flipp'; did you mean 'flip'"),
        ({"zzz": 0.5}, "unknown augmentation 'zzz': use crop, resized_crop"),
        ({"flip": 1.5}, r"flip \(a probability\) must be 0 to 1, got 1.5"),
        ({"rotation": -3}, r"rotation \(degrees\) must be 0 to 180, got -3"),
        ({"mixup": float("nan")}, "got nan"),
        ({"flip": True}, "flip must be a number, got True"),
        ({"crop": "4"}, "crop must be a number, got '4'"),
        ({"crop": 0.1, "resized_crop": 0.5}, "crop = 0.1 and resized_crop = 0.5 .* give one"),
        ({"rand_augment": [2, 31]}, r"0 to 30, such as \[2, 9\], got \[2, 31\]"),
        ({"rand_augment": [0, 9]}, "at least 1"),
        ({"rand_augment": 9}, r"must be \[operations, magnitude\].* got 9"),
        ({"rand_augment": [2.0, 9]}, r"got \[2.0, 9\]"),
    ],
)
def test_wrong_tables(table, words):
    with pytest.raises(InputError, match=words) as error:
        AugmentOptions.from_table(table)
    assert "\n" not in str(error.value)
