"""`vitprobe tune`: the CUDA kernels tried on this machine's GPUs, now."""


def command() -> None:
    """Try the CUDA kernels on this machine's GPUs, and remember which are right and fastest.

    That is done at the first use of a GPU, too, in less time; here also where it was done before.
    """
    import torch

    from vitprobe.cli._kernels import print_gpus
    from vitprobe.cli._summary import new_console
    from vitprobe.errors import InputError
    from vitprobe.ops import choice, kernel_status

    if not torch.cuda.is_available():
        raise InputError(
            "no CUDA device on this machine: there is nothing to choose; a CPU has one kernel for "
            "each operator"
        )
    status = kernel_status()["cuda"]
    if status != "loaded":
        raise InputError(
            f"vitprobe's CUDA kernels are not there ({status}): reinstall with VITPROBE_CUDA=1"
        )
    print_gpus(new_console(), choice.tune)
