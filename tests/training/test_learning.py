"""A network that is trained learns; compiled, and in bfloat16, it learns the same."""

import pytest

from vitprobe.training import train

TINY = {"model": "vit", "dim": 16, "depth": 1, "heads": 2, "mlp_dim": 32, "patch_size": 8}


def test_a_resnet_learns_digits_in_three_epochs(tmp_path):
    found = train("scratch", model="resnet20", epochs=3, device="cpu", output=str(tmp_path))
    assert found.settings.recipe == "digits-resnet"
    assert found.test_accuracy > 0.85  # chance is 0.1
    assert found.test_accuracy == found.history["accuracy"][found.best_epoch - 1]
    losses = found.history["train_loss"]
    assert losses[2] < losses[1] < losses[0]


@pytest.mark.slow
def test_compiled_and_in_bfloat16(tmp_path):
    losses = {}
    for name, options in {
        "plain": {},
        "compiled": {"compile": True},
        "bf16": {"precision": "bf16"},
    }.items():
        found = train(
            "scratch",
            **TINY,
            **options,
            epochs=1,
            fraction=0.3,
            device="cpu",
            output=str(tmp_path / name),
        )
        losses[name] = found.history["train_loss"][0]
    assert losses["compiled"] == pytest.approx(losses["plain"], rel=1e-4)
    assert losses["bf16"] == pytest.approx(losses["plain"], rel=1e-2)
    assert losses["bf16"] != losses["plain"]
