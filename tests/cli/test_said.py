"""What a command says of how long it may take; with --quiet nothing but notes and errors."""

import pytest

COMMANDS = {
    "cka": ("cka", "--models", "vit", "--layers", "blocks"),
    "attention": ("attention", "--models", "vit"),
    "head-subsets": ("head-subsets", "--models", "vit,resnet18"),
}
FEW = ("--examples", "8", "--batch-size", "4")


@pytest.mark.parametrize("quiet", ["--quiet", "-q"])
@pytest.mark.parametrize("analysis", COMMANDS)
def test_quiet(vitprobe_command, tmp_path, analysis, quiet):
    run = vitprobe_command(*COMMANDS[analysis], *FEW, quiet)
    assert (run.code, run.out) == (0, "")
    assert all(line.startswith("note: ") for line in run.err.splitlines())
    assert list((tmp_path / "results").glob("*.nc"))


def test_notes_and_errors_are_said_all_the_same(vitprobe_command):
    run = vitprobe_command(*COMMANDS["cka"], "--examples", "4", "-q")
    assert run.out == "" and "note: one batch only" in run.err
    run = vitprobe_command(*COMMANDS["cka"], "--examples", "0", "-q")
    assert (run.code, run.out) == (2, "") and len(run.err.splitlines()) == 1


def test_shares_and_what_is_finished_are_quiet(vitprobe_command, tmp_path):
    for words in (("--shard", "1/2"), ("--shard", "1/2", "--resume"), (), ("--resume",)):
        run = vitprobe_command(*COMMANDS["cka"], *FEW, *words, "-q")
        assert (run.code, run.out) == (0, "")
    assert list((tmp_path / "results").glob("*.partial"))


def test_said_without_it(vitprobe_command):
    run = vitprobe_command(*COMMANDS["cka"], *FEW)
    assert "wrote" in run.out and "interval" in run.out


def test_in_the_help(vitprobe_command):
    for analysis in COMMANDS:
        assert "--quiet" in vitprobe_command(analysis, "--help").out


def test_a_batch_is_no_larger_than_the_examples(vitprobe_command):
    run = vitprobe_command("attention", "--models", "vit@digits", "--examples", "5")
    assert "digits test: 5 examples in 1 batch of 5, seeded order\n" in run.out


def test_the_estimate_is_of_the_batches_that_are_left(vitprobe_command):
    run = vitprobe_command(*COMMANDS["cka"], "--examples", "20", "--batch-size", "4")
    assert "more: 5 batches of about" in run.out
    run = vitprobe_command(
        *COMMANDS["cka"], "--examples", "20", "--batch-size", "4", "--shard", "1/2"
    )
    assert "more: 3 batches of about" in run.out
