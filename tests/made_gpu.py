"""A GPU for tests: what is asked of it is found out on the CPU, with made candidates."""

import torch

from vitprobe.ops import choice
from vitprobe.ops.proof.question import Question
from vitprobe.ops.proof.run import Limits
from vitprobe.ops.proof.tune import Machine
from vitprobe.ops.variants import KERNELS

#: As a GPU may answer: which of the made candidates each name is.
FOUND = {"reference": "slow", "simple": "right", "fast": "aborts"}


def made_gpu(monkeypatch, folder, **found):
    """centered_gram of float32 and bfloat16 has these candidates; answers are kept in `folder`.

    Returns a list to which each look for the answers adds how it was asked.
    """
    for kernels in KERNELS.values():
        monkeypatch.delenv(kernels.environment, raising=False)
    monkeypatch.delenv("VITPROBE_TUNE", raising=False)
    monkeypatch.setattr(choice, "has_kernels", lambda device: True)
    monkeypatch.setattr(choice, "cache_folder", lambda: folder)
    monkeypatch.setattr(choice, "_answers", {})
    monkeypatch.setattr(choice, "_picked", {})
    here = Machine("cpu", "a stand-in", {"device": "a stand-in"})
    monkeypatch.setattr(choice, "machine", lambda index: here)
    specs = {name: f"made_candidates:{made}" for name, made in found.items()}
    asked = tuple(
        Question("centered_gram", kind, "made_candidates:cases", specs) for kind in ("f32", "bf16")
    )
    monkeypatch.setattr(choice, "questions", lambda: asked)
    tried, tuned = [], choice.tuned

    def with_patience(*args, limits=None, **how):
        tried.append(how)
        return tuned(*args, limits=limits or Limits(20.0, 60.0), **how)

    monkeypatch.setattr(choice, "tuned", with_patience)
    return tried


def made_gpus(monkeypatch, count):
    """torch says that there are so many."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "a stand-in")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (9, 0))
