"""From a result to its figure, to a notebook, to a file; without pyplot and from any thread."""

import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import matplotlib.image
import numpy as np
import pytest
import xarray
from matplotlib.figure import Figure

from vitprobe.errors import InputError
from vitprobe.figures import plot, save_png

PNG = b"\x89PNG\r\n\x1a\n"


def test_what_is_no_result_is_refused():
    for wrong in ("cka-vit-resnet18.nc", np.zeros((3, 3)), xarray.Dataset()):
        with pytest.raises(InputError, match="not a result of vitprobe") as error:
            plot(wrong)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("analysis", ["ckaa", "labels", "style", "../cka", "os", ""])
def test_an_analysis_without_figure_is_refused_by_name(cases, analysis):
    with pytest.raises(InputError, match="no figure for the analysis") as error:
        plot(cases["10x10"]().assign_attrs(analysis=analysis))
    assert repr(analysis) in str(error.value) and ", cka, " in str(error.value)
    assert analysis != "ckaa" or "did you mean 'cka'?" in str(error.value)


def test_a_saved_png_is_the_figure_at_200_dpi(cases, tmp_path):
    figure = plot(cases["10x10"]())
    path = save_png(figure, str(tmp_path / "cka.png"))
    data = path.read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    np.testing.assert_allclose((width, height), figure.get_size_inches() * 200, atol=1)
    density = struct.unpack(">II", data[data.index(b"pHYs") + 4 :][:8])  # pixels per metre
    np.testing.assert_allclose(density, 200 / 0.0254, rtol=1e-3)
    figure.canvas.draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())
    np.testing.assert_allclose(matplotlib.image.imread(path), drawn / 255, atol=1e-6)


def test_a_notebook_gets_a_png(cases):
    figure = plot(cases["10x10"]())
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(PNG) and figure._repr_html_() is None


def test_an_unwritable_path_is_an_input_error(cases, tmp_path):
    figure = plot(cases["1x1"]())
    with pytest.raises(InputError, match="cannot write .*missing"):
        save_png(figure, tmp_path / "missing" / "cka.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        save_png(figure, tmp_path / "file" / "cka.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_pyplot_stays_out_of_it():
    code = "import sys, vitprobe.figures; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_threads_draw_the_same_figures(cases):
    results = [cases["10x10"](), cases["4x7 unicode"]()] * 3
    expected = [plot(result)._repr_png_() for result in results[:2]] * 3
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda result: plot(result)._repr_png_(), results)) == expected
