"""Names to models: our own, timm's, torchvision's and the user's; checkpoints of every layout."""

from vitprobe.models.checkpoints import Checkpoint, read_checkpoint
from vitprobe.models.device import choose_device, device_of, dtype_of
from vitprobe.models.find_checkpoint import find_checkpoint
from vitprobe.models.given import given_provenance, transform_of
from vitprobe.models.load import build_model, load_model
from vitprobe.models.names import known_names
from vitprobe.models.wrapped import forward_parameters, unwrapped

__all__ = [
    "Checkpoint",
    "build_model",
    "choose_device",
    "device_of",
    "dtype_of",
    "find_checkpoint",
    "forward_parameters",
    "given_provenance",
    "known_names",
    "load_model",
    "read_checkpoint",
    "transform_of",
    "unwrapped",
]
