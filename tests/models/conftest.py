"""Pretrained weights without a network."""

import pytest
import timm
import torch


@pytest.fixture
def timm_resnet18(tmp_path, monkeypatch):
    """timm's ResNet-18 of 1,000 classes, which timm then reads as pretrained: its configuration is
    made to name a file."""
    create = timm.create_model
    model = create("resnet18", num_classes=1000)
    torch.save(model.state_dict(), tmp_path / "w.pth")
    overlay = {"file": str(tmp_path / "w.pth"), "hf_hub_id": None, "url": ""}
    monkeypatch.setattr(
        timm, "create_model", lambda *a, **k: create(*a, **k, pretrained_cfg_overlay=overlay)
    )
    return model
