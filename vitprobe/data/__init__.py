"""Images and what is done to them: named data sets, transforms, the order, the paired loader."""

from vitprobe.data.batch import Batch
from vitprobe.data.decode import CorruptImage
from vitprobe.data.files import image_files
from vitprobe.data.images import ImageData, ImageStream
from vitprobe.data.loader import PairedLoader
from vitprobe.data.model_input import ModelInput
from vitprobe.data.named import load_data
from vitprobe.data.order import example_order
from vitprobe.data.transforms import Transform

__all__ = [
    "Batch",
    "CorruptImage",
    "ImageData",
    "ImageStream",
    "ModelInput",
    "PairedLoader",
    "Transform",
    "example_order",
    "image_files",
    "load_data",
]
