"""`vitprobe info`: versions, what was built, devices."""

import platform
from importlib.metadata import version


def command() -> None:
    """Print versions, which kernels were built and run, and the devices."""
    import torch
    from rich.console import Console

    from vitprobe.analyses.schedule import SCHEDULES, chosen_schedule
    from vitprobe.ops import kernel_status

    console = Console(highlight=False, soft_wrap=True)
    packages = ("vitprobe", "torch", "torchvision", "timm", "torchmetrics", "xarray")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    console.print(f"[bold]versions[/]      {versions}")
    console.print(f"              Python {platform.python_version()}, {platform.platform()}")
    status = kernel_status()
    for device in ("cpu", "cuda"):
        console.print(f"[bold]{device + ' kernels':13}[/] {status[device]}")
    chosen = ", ".join(f"{name} {kernel}" for name, kernel in status["cuda_kernels"].items())
    console.print(f"              of these runs: {chosen}")
    console.print(f"[bold]schedule[/]      {chosen_schedule()}: {SCHEDULES[chosen_schedule()]}")
    built = ", ".join(f"{name} {value}" for name, value in status["build"].items() if value)
    console.print(f"[bold]built with[/]    {built or 'nothing: the kernels were not built'}")
    if status["driver"]:
        console.print(f"[bold]driver[/]        {status['driver']}")
    console.print(f"[bold]devices[/]       cpu ({torch.get_num_threads()} threads)")
    for i in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(i)
        console.print(f"              cuda:{i} {torch.cuda.get_device_name(i)} (sm_{major}{minor})")
