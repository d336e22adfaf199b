"""Which batches are whose, and their numbers as a short text."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from vitprobe.errors import InputError
from vitprobe.passes.share import Share, as_ranges, from_ranges

NUMBERS = some.sets(some.integers(0, 10_000), max_size=60)
COUNTS = some.integers(1, 12)
RUNS = some.lists(some.builds(range, COUNTS, some.integers(12, 200), COUNTS), max_size=4)


@given(NUMBERS, RUNS)
def test_numbers_come_back(numbers, runs):
    numbers = numbers.union(*runs)
    assert from_ranges(as_ranges(numbers)) == numbers


@given(COUNTS, COUNTS, some.integers(0, 300))
def test_a_share_is_short_whatever_its_length(index, count, total):
    numbers = Share(index % count, count).numbers(total)
    text = as_ranges(numbers)
    assert from_ranges(text) == numbers and len(text) < 20


def test_how_it_reads():
    assert as_ranges([3, 0, 1, 2, 9, 7, 10]) == "0-3, 7, 9-10"
    assert as_ranges(range(0, 9, 2)) == "0-8:2"
    assert as_ranges([]) == "" and from_ranges("") == set()


@pytest.mark.parametrize("text", ["a", "1-", "-3", "0-8:0", "1,2", "0-99999999999", "1 2"])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="no numbers of batches"):
        from_ranges(text)


@given(COUNTS, COUNTS, some.integers(0, 100))
def test_shares_and_their_parts_are_the_whole(count, processes, total):
    shares = [Share(index, count) for index in range(count)]
    parts = [share.part(rank, processes) for share in shares for rank in range(processes)]
    for whole in (shares, parts):
        found = [number for share in whole for number in share.numbers(total)]
        assert sorted(found) == list(range(total))
    for share in shares:
        assert share.numbers(total) == {number for number in range(total) if share.wants(number)}


@pytest.mark.parametrize("text", ["1/1", "3/8", " 8/8 "])
def test_a_share_is_read_as_it_is_written(text):
    assert str(Share.read(text)) == text.strip()
    assert Share.read("3/8").suffix == ".shard-3-of-8"


@pytest.mark.parametrize("text", ["0/8", "9/8", "3", "3/0", "a/b", "1/8/2", "", "-1/8", "1.5/8"])
def test_what_is_no_share(text):
    with pytest.raises(InputError, match="shard takes one such as 3/8, not"):
        Share.read(text)
