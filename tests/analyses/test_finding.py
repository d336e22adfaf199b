"""Numbers with their errors: how they are said, and when two of them are told apart."""

import math

from vitprobe.analyses.findings.finding import Number, halves, sign, spoken


def test_numbers_as_they_are_said():
    for value, error, text in (
        (0.6149, 0.021, "0.61 ± 0.02"),
        (14.93, 0.0998, "14.9 ± 0.1"),
        (123.4, 12, "123 ± 12"),
        (1.58113, 2e-9, "1.581 ± under 0.001"),
        (-0.02, 0.01, "−0.02 ± 0.01"),
        (0.5, math.nan, "0.5, without an error bar"),
        (math.nan, math.nan, "no value"),
    ):
        assert str(Number(value, error)) == text


def test_sign_is_students_t():
    """7 degrees of freedom: 2.3646 errors of the difference, of 10 comparisons 4.0293."""

    def apart(times, among=1):
        return sign(Number(times, 1.0), Number(0.0, 0.0), 7, among)

    assert apart(2.37) == 1 and apart(-2.37) == -1 and apart(2.36) == 0
    assert apart(4.03, 10) == 1 and apart(4.02, 10) == 0
    assert sign(Number(1, 0.1), Number(0, 0.1), 0) == 0  # one batch


def test_names_of_layers():
    blocks = [f"blocks.{k}" for k in range(5)]
    assert spoken(blocks, [0, 1, 2]) == "blocks 0 to 2"
    assert spoken(blocks, [3, 0, 4]) == "blocks.0 and blocks 3 and 4"
    assert spoken(["layer1.0", "layer1.1", "layer2.0"], [0, 1, 2]) == "layer1.0 to layer2.0"
    assert spoken(["layer1.0", "layer1.1"], [0, 1]) == "layer1.0 and layer1.1"
    assert [halves(k) for k in (4, 5, 1)] == [
        (slice(0, 2), slice(2, 4)),
        (slice(0, 2), slice(3, 5)),
        (slice(0, 0), slice(1, 1)),
    ]
