"""Training on a GPU: what it leaves, going on after a stop, bf16, averaged weights."""

import pytest
import torch

from vitprobe.models import load_model
from vitprobe.training import train

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU"),
]
TINY = {"model": "vit", "dim": 32, "depth": 2, "heads": 2, "mlp_dim": 64, "patch_size": 8}


@pytest.mark.parametrize("recipe", ["digits", "deit"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run(tmp_path, recipe, precision):
    found = train(
        "scratch",
        **TINY,
        recipe=recipe,
        precision=precision,
        epochs=2,
        batch_size=64,
        device="cuda",
        output=str(tmp_path),
    )
    assert all(len(values) == 2 for values in found.history.values())
    state = torch.load(found.path, weights_only=True, map_location="cpu")
    assert all(weight.isfinite().all() for weight in state["model_state_dict"].values())
    assert len(state["rng"]["cuda"]) == torch.cuda.device_count()
    model = load_model(found.spec)
    assert next(model.parameters()).device.type == "cpu"
    assert all(
        torch.equal(value, state["model_state_dict"][key].cpu())
        for key, value in model.state_dict().items()
    )


def test_it_learns_and_goes_on(tmp_path):
    options = {**TINY, "epochs": 6, "device": "cuda", "output": str(tmp_path)}
    whole = train("scratch", **options, lr=2e-3, model_name="whole")
    assert whole.history["train_loss"][-1] < whole.history["train_loss"][0] - 0.15
    again = train("scratch", **options, lr=2e-3, model_name="whole", resume=True)
    assert again.history == whole.history  # finished: nothing is done again
