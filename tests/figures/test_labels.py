"""Tick labels: never overlapping, as many as fit, for any names, blocks and length."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from vitprobe.figures.labels import shorten, tick_labels


def measure(text, size):
    """A made-up font: every character 0.6 em wide, every line 1.2 em high."""
    return 0.6 * size * len(text), 1.2 * size


@st.composite
def layers(draw):
    """Names and blocks of 1 to 200 layers: runs of up to 20, in or outside a block."""
    runs = draw(st.lists(st.tuples(st.booleans(), st.integers(1, 20)), min_size=1, max_size=12))
    blocks = [f"b.{i}" if inside else "" for i, (inside, n) in enumerate(runs) for _ in range(n)]
    return [f"{block}.layer{i}" for i, block in enumerate(blocks)], blocks


@settings(max_examples=150, deadline=None)
@given(layers(), st.floats(30, 600), st.booleans())
def test_labels_never_overlap_and_none_is_wrong(layers, length, along_x):
    names, blocks = layers
    labels = tick_labels(names, blocks, length, measure, along_x=along_x)
    pitch = length / len(names)
    assert labels.size >= 6 and labels.texts
    upright = along_x and labels.rotation == 0
    thick = [measure(text, labels.size)[0 if upright else 1] for text in labels.texts]
    assert list(labels.positions) == sorted(labels.positions)
    for (p, a), (q, b) in pairwise(zip(labels.positions, thick, strict=True)):
        assert (q - p) * pitch >= (a + b) / 2
    for position, text in zip(labels.positions, labels.texts, strict=True):
        members = [i for i, block in enumerate(blocks) if block == text]
        middle = (members[0] + members[-1]) / 2 if members else None
        assert position == middle or names[int(position)] == text

    lines_fit = pitch >= 1.2 * 6 + 1  # more than the gap that is kept between lines
    if lines_fit:
        assert list(labels.texts) == names
    if len(labels.texts) < len(names):
        assert pitch < 1.2 * 6 + 1


def test_the_largest_size_that_fits_is_taken():
    names = [f"layer{i}" for i in range(10)]
    for pitch, size in ((20, 8), (9.0, 6.5), (8.1, 6)):
        labels = tick_labels(names, [""] * 10, 10 * pitch, measure, along_x=False)
        assert labels.size == size and list(labels.texts) == names


def test_names_lie_on_the_line_if_they_can_and_stand_upright_if_not():
    names = [f"layer{i}" for i in range(10)]  # 6 characters: 28.8 pt at 8 pt
    assert tick_labels(names, [""] * 10, 400, measure, along_x=True).rotation == 0
    upright = tick_labels(names, [""] * 10, 200, measure, along_x=True)
    assert upright.rotation == 90 and list(upright.texts) == names


def test_a_block_that_returns_is_labelled_twice():
    blocks = ["a"] * 20 + ["b"] * 20 + ["a"] * 20
    labels = tick_labels([f"l{i}" for i in range(60)], blocks, 120, measure, along_x=False)
    assert labels.texts == ("a", "b", "a") and labels.positions == (9.5, 29.5, 49.5)
    assert labels.limits == (-0.5, 19.5, 39.5, 59.5)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=80), st.floats(10, 300))
def test_a_shortened_text_keeps_as_much_of_both_ends_as_fits(text, longest):
    short = shorten(text, longest, 8, measure)
    if measure(text, 8)[0] <= longest:
        assert short == text
        return
    assert "…" in short and len(short) <= len(text)
    assert measure(short, 8)[0] <= longest and measure(short + "x", 8)[0] > longest
    kept = len(short) - 1
    assert text.startswith(short[: (kept + 1) // 2]) and text.endswith(
        short[len(short) - kept // 2 :]
    )
