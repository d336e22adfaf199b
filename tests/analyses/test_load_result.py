"""Results in files, read again."""

import xarray as xr

import vitprobe
from vitprobe.cli._output import netcdf


def test_what_was_written_is_read(tmp_path):
    result = xr.Dataset({"value": ("layer", [1.0, 2.0])}, {"layer": ["a", "b"]}, {"analysis": "x"})
    path = tmp_path / "x.nc"
    path.write_bytes(netcdf(result))
    for given in (path, str(path)):
        xr.testing.assert_identical(vitprobe.load_result(given), result)
    assert repr(vitprobe.load_result(path).vitprobe).startswith("<vitprobe: a result of x")
