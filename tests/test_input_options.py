"""One set of options for every analysis: in Python, at the command line, in words for help."""

import inspect
from dataclasses import fields

import pytest
import typer.main

import vitprobe
from vitprobe.analyses.maps import OPTIONS as OF_IMAGES
from vitprobe.cli import app
from vitprobe.errors import InputError, option, typed_options
from vitprobe.input_options import InputOptions, takes_inputs

ALL = tuple(each.name for each in fields(InputOptions))
PASSES = (
    *("cka", "attention", "head_subsets", "skips", "receptive_field", "localization", "finetuning"),
    "dominant",
)
TAKEN = dict.fromkeys(PASSES, ALL) | dict.fromkeys(("maps", "features"), OF_IMAGES)
SMALL = ("attention", "skips")  # their results do not depend on the size of a batch
DEFAULTS = {each.name: each.default for each in fields(InputOptions)}


@pytest.mark.parametrize("name", TAKEN)
def test_functions_and_commands_take_the_same(name):
    function = inspect.signature(getattr(vitprobe, name)).parameters
    command = typer.main.get_command(app).commands[name.replace("_", "-")]
    typed = {parameter.name: parameter for parameter in command.params}
    for each in ALL:
        taken = each in TAKEN[name]
        assert (each in function) == (each in typed) == taken, each
        if taken:
            usual = 64 if name in SMALL and each == "batch_size" else DEFAULTS[each]
            assert function[each].default == usual
            assert typed[each].default == usual


@pytest.mark.parametrize("name", TAKEN)
def test_every_argument_is_told(name):
    function = getattr(vitprobe, name)
    words = inspect.getdoc(function)
    assert "{inputs}" not in words
    for each in inspect.signature(function).parameters:
        assert f"{each}:" in words or f"{each}, " in words or f", {each}" in words, each
    assert max(map(len, words.splitlines())) <= 100


def test_a_wrong_argument_is_a_type_error():
    with pytest.raises(TypeError, match="attention.. has no argument 'batchsize'"):
        vitprobe.attention("vit", batchsize=3)
    with pytest.raises(TypeError, match="maps.. has no argument 'examples'"):
        vitprobe.maps("vit", "digits", 0, examples=3)


def test_the_function_gets_them_together():
    @takes_inputs(only=("seed", "mean"), seed=5)
    def shown(x, *, inputs: InputOptions, y=1):
        """Words.

        Args:
            x: something.
            {inputs}
        """
        return x, y, inputs

    assert shown(2, mean=0.5, y=3) == (2, 3, InputOptions(seed=5, mean=(0.5, 0.5, 0.5)))
    assert list(inspect.signature(shown).parameters) == ["x", "mean", "y", "seed"]
    assert "seed: of random weights" in shown.__doc__ and "mean: R,G,B" in shown.__doc__


def test_the_default_that_is_told_is_its_own():
    @takes_inputs(only=("examples", "batch_size"), usual={"examples": "32"}, batch_size=64)
    def shown(*, inputs: InputOptions):
        """Words.

        Args:
            {inputs}
        """
        return inputs

    assert "the first N of the order (default: 32)." in shown.__doc__
    assert "images a batch." in shown.__doc__ and "eighth" not in shown.__doc__
    assert shown() == InputOptions(batch_size=64)
    assert "default: an eighth of the examples" in vitprobe.cka.__doc__, "others keep theirs"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "fp8"}, "unknown precision 'fp8': use fp32 or bf16"),
        ({"batch_size": 3}, "a batch of 3 is too small"),
    ],
)
def test_values_that_make_no_sense(options, message):
    with pytest.raises(InputError, match=message):
        InputOptions(**options)


def test_an_option_is_named_in_the_callers_language():
    assert (option("image_size"), option("image_size", 32)) == ("image_size", "image_size=32")
    assert (option("device", "cpu"), option("model", "NAME")) == ("device='cpu'", "model=NAME")
    with typed_options():
        assert (option("image_size"), option("image_size", 32)) == (
            "--image-size",
            "--image-size 32",
        )
        assert option("skip_bad_images", True) == "--skip-bad-images"
    assert option("skip_bad_images", True) == "skip_bad_images=True"
