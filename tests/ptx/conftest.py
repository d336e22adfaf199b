"""csrc/cuda compiled once for these tests, and a device that executes it."""

import pytest
from nvcc import NO_NVCC, find_nvcc

from ptx.build import build
from ptx.interpreted import Interpreted


@pytest.fixture(scope="session")
def nvcc() -> str:
    return find_nvcc() or pytest.skip(NO_NVCC)


@pytest.fixture(scope="session")
def compiled_folder(request, tmp_path_factory):
    """Where what is compiled stays until csrc changes."""
    cache = getattr(request.config, "cache", None)
    return cache.mkdir("ptx") if cache else tmp_path_factory.mktemp("ptx")


@pytest.fixture(scope="session")
def built(nvcc, compiled_folder):
    return build(nvcc, compiled_folder)


@pytest.fixture(scope="session")
def all_kernels(built) -> Interpreted:
    return Interpreted(built)


@pytest.fixture
def run(all_kernels) -> Interpreted:
    """The operators of csrc/cuda on an empty device of two multiprocessors."""
    all_kernels.device.clear()
    all_kernels.num_sms = 2
    return all_kernels
