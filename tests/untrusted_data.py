"""Small images and refusals, for tests of data that nobody vouches for."""

import io

import pytest
from PIL import Image

from vitprobe.data import load_data
from vitprobe.errors import InputError

ESCAPE = "\x1b]0;title\x07\x1b[31m"


def png(level=0, size=4):
    """A grey PNG's bytes."""
    file = io.BytesIO()
    Image.new("RGB", (size, size), (level,) * 3).save(file, "PNG")
    return file.getvalue()


def names(data, root):
    """The images' paths within `root`."""
    return [path.removeprefix(f"{root}/") for path in data.paths]


def refused(name, words, **options):
    """The data set is refused in one line that can be shown."""
    with pytest.raises(InputError, match=words) as error:
        load_data(name, **options)
    assert str(error.value).isprintable()
