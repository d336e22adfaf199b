"""Candidates tried in a process of their own: each kind of fault costs that candidate alone."""

import math
import sys
import time

import pytest

from vitprobe.ops.proof.question import Question, Result, as_json, fastest, from_json
from vitprobe.ops.proof.run import Limits, prove

LIMITS = Limits(candidate=20.0, total=60.0)


def question(*names, operator="double", kind="f32", cases="cases"):
    specs = {name: f"made_candidates:{name}" for name in names}
    return Question(operator, kind, f"made_candidates:{cases}", specs)


def asked(*names, limits=LIMITS, **how):
    one = question(*names, **how)
    proof = prove([one], "cpu", limits)
    return proof, proof.answers[one.name]


def test_right_ones_are_ranked_by_their_time_for_each_size():
    proof, found = asked("slow", "right", "fast_for_few")
    assert not proof.why and proof.lasting
    assert {r.why for r in found.values()} == {""}
    assert {tuple(r.seconds) for r in found.values()} == {("small", "large")}
    assert all(r.error == 0 for r in found.values())
    assert fastest(found, "small")[-1] == "slow"
    assert fastest(found, "large")[0] == "right"
    assert fastest(found, "large", without=("right",))[0] in ("slow", "fast_for_few")
    assert found["slow"].seconds["small"] >= 0.01 > found["right"].seconds["large"]


def test_each_fault_costs_its_candidate_alone():
    """One child for those that leave it alive, another behind each that ends it."""
    names = ("right", "aborts", "wrong", "segfaults", "raises", "exits", "fast")
    proof, found = asked(*names)
    assert not proof.why and proof.lasting
    assert [name for name in names if not found[name].why] == ["right", "fast"]
    assert found["aborts"].why == "it was ended by SIGABRT; about to abort"
    assert "SIGSEGV" in found["segfaults"].why
    assert found["exits"].why.startswith("it ended with exit code 3")
    assert found["raises"].why == "RuntimeError: no kernel image"
    assert found["wrong"].why == "error 5.0e-04 of 1 numbers, more than 2e-06"
    assert found["wrong"].error == pytest.approx(5e-4, rel=1e-3)
    assert all(not found[n].seconds for n in names if found[n].why)
    assert set(fastest(found, "large")) == {"right", "fast"}


def test_one_that_hangs_is_out_when_its_time_is_over():
    began = time.monotonic()
    proof, found = asked("right", "hangs", "fast", limits=Limits(candidate=1.0, total=60.0))
    assert time.monotonic() - began < 40
    assert found["hangs"].why == "no answer in 1 s"
    assert not proof.why and set(fastest(found, "small")) == {"right", "fast"}


def test_one_number_that_is_wrong_or_not_written_is_seen():
    _, found = asked("right", "nearly", "wrong_at_the_end", "not_written")
    assert not found["nearly"].why and 0 < found["nearly"].error < 2e-6
    assert "of 5 numbers" in found["wrong_at_the_end"].why
    assert found["not_written"].why.startswith("error inf of 1 numbers")
    assert found["not_written"].error is None


def test_one_that_dies_when_it_is_timed_is_out_too():
    _, found = asked("dies_when_timed", "right")
    assert "SIGABRT" in found["dies_when_timed"].why and not found["dies_when_timed"].seconds
    assert fastest(found, "small") == fastest(found, "large") == ["right"]


def test_the_rest_goes_on_behind_a_fault():
    questions = [
        question("right", "aborts", operator="first"),
        question("aborts", operator="second"),
        question("right", "segfaults", operator="third", kind="bf16"),
    ]
    proof = prove(questions, "cpu", LIMITS)
    found = [proof.answers[each.name] for each in questions]
    assert fastest(found[0], "small") == ["right"] == fastest(found[2], "large")
    assert not fastest(found[1], "small") and "SIGABRT" in found[1]["aborts"].why


def test_children_may_use_cuda():
    """CUDA refuses a process that was forked from one that has used it."""
    _, found = asked("in_a_good_fork", "right")
    assert not found["in_a_good_fork"].why


def test_what_is_printed_by_others_is_no_result():
    _, found = asked("said", "right")
    assert not found["said"].why and set(fastest(found, "large")) == {"said", "right"}


def test_want_of_memory_is_not_for_ever():
    proof, found = asked("right", "out_of_memory")
    assert "out of memory" in found["out_of_memory"].why and not proof.lasting
    assert fastest(found, "small") == ["right"]


def test_inputs_that_cannot_be_made_blame_no_candidate():
    proof, found = asked("right", cases="no_cases")
    assert "OSError: no inputs" in proof.why and not proof.lasting
    assert found["right"].why == proof.why


def test_the_time_for_all_ends_it():
    questions = [question("right", operator=f"{k}") for k in range(3)]
    began = time.monotonic()
    proof = prove([question("hangs"), *questions], "cpu", Limits(candidate=30.0, total=1.0))
    assert time.monotonic() - began < 10
    assert len(proof.answers) == 4 and not proof.lasting
    for results in proof.answers.values():
        for result in results.values():
            assert "the time for all was over" in result.why and not result.seconds


def test_no_process_can_be_started(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/python")
    proof, found = asked("right")
    assert "no process to try it in" in proof.why and not proof.lasting
    assert found["right"].why == proof.why


def test_answers_are_written_and_read():
    answers = {
        ("gram", "f32"): {"simple": Result(1e-7, "", {"small": 2e-6}), "fast": Result(None, "x")}
    }
    assert from_json(as_json(answers)) == answers
    for damaged in (
        {"operator": "gram"},
        {"operator": "gram", "type": "f32", "candidates": {"simple": {}}},
        {"operator": "gram", "type": "f32", "candidates": {"simple": 3}},
        {
            "operator": "gram",
            "type": "f32",
            "candidates": {"simple": {"error": 0, "why": "", "seconds": {"small": math.nan}}},
        },
    ):
        with pytest.raises((ValueError, TypeError, KeyError)):
            from_json([damaged])
