"""`vitprobe info`: versions, what was built, devices."""

import platform
from importlib.metadata import version

from rich.text import Text

LABEL = 14  # characters of a label and the space behind it


def command() -> None:
    """Print versions, which kernels were built and run, and the devices.

    For each GPU: which kernel of each operator runs there, and why (vitprobe tune).
    """
    import torch

    from vitprobe.cli._kernels import print_gpus
    from vitprobe.cli._summary import new_console
    from vitprobe.models.device import apple_gpu
    from vitprobe.ops import kernel_status
    from vitprobe.ops.variants import KERNELS
    from vitprobe.passes.schedule import SCHEDULES, chosen_schedule

    console = new_console()

    def line(label: str, text: str) -> None:
        shown = Text(console.lines(f"{label:{LABEL}}{text}", LABEL))
        shown.stylize("bold", 0, len(label))
        console.print(shown)

    packages = ("vitprobe", "torch", "torchvision", "timm", "torchmetrics", "xarray")
    line("versions", ", ".join(f"{name} {version(name)}" for name in packages))
    line("", f"Python {platform.python_version()}, {platform.platform()}")
    status = kernel_status()
    for device in ("cpu", "cuda"):
        line(f"{device} kernels", status[device])
    if torch.cuda.device_count() == 0:
        line("", "no GPU that torch can use: nothing is to be chosen")
    for name, kernel in status["cuda_kernels"].items():
        if kernel != "proved":
            line("", f"{name}: {kernel}, as {KERNELS[name].environment} or VITPROBE_TUNE says")
    line("schedule", f"{chosen_schedule()}: {SCHEDULES[chosen_schedule()]}")
    record = status["build"].items()
    built = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in record if value)
    line("built with", built or "nothing: the kernels were not built")
    if status["driver"]:
        line("driver", status["driver"])
    line("devices", f"cpu ({torch.get_num_threads()} threads)")
    for i in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(i)
        line("", f"cuda:{i} {torch.cuda.get_device_name(i)} (sm_{major}{minor})")
    if apple_gpu() is not None:
        line("", "mps (Apple's GPU; the reference runs)")
    if status["cuda"] == "loaded":
        print_gpus(console)
