"""Results that a user names, read and checked."""

from pathlib import Path

import xarray as xr

from vitprobe.analyses.load_matrix import ENDINGS, load_matrix
from vitprobe.errors import InputError
from vitprobe.files import regular_file
from vitprobe.packages import package
from vitprobe.text import printable

MOST = 2**31  # bytes of numbers; a file may claim more than it holds


def load_result(path: str | Path) -> xr.Dataset:
    """The result in a file that a command wrote, in memory and checked.

    >>> vitprobe.load_result("results/cka-vit-resnet18.nc").vitprobe.plot()

    Args:
        path: a netCDF file (.nc); or the matrix of another package, as `vitprobe.load_matrix` reads
            it.

    Returns:
        The Dataset that the analysis gave, with its attributes.

    Raises:
        InputError: no file, no netCDF file, one of something else, more than fits, or the library
            that reads it is missing.
    """
    path = str(path)
    if path.lower().endswith(ENDINGS):
        return load_matrix(path)
    file, name = regular_file(path, "result"), printable(path)
    h5py = package("h5py", name, "h5py")
    package("h5netcdf", name, "h5netcdf")
    try:
        with h5py.File(file, "r") as held:
            dict(held.attrs)  # h5netcdf leaves words on stderr where these are damaged
        with xr.open_dataset(file, engine="h5netcdf") as held:
            if held.nbytes > MOST:
                raise InputError(f"{name} claims {held.nbytes:,} bytes of numbers: no result has")
            dataset = held.load()
    except InputError:
        raise
    except Exception as error:  # whatever h5py and xarray meet in a broken file
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(
            f"cannot read {name} as netCDF ({printable(why)}): name a result (.nc) of vitprobe"
        ) from error
    if "analysis" not in dataset.attrs:
        raise InputError(
            f"{name} is no result of vitprobe: it has no attribute 'analysis'; name an .nc file "
            "that a command wrote"
        )
    return dataset
