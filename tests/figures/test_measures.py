"""The figure of several measures shows each one's numbers, legibly and whole."""

import numpy as np
import pytest
import xarray
from matplotlib.text import Text

from vitprobe.errors import InputError
from vitprobe.figures import plot, save_png

SPECS = ["rsa", "procrustes", "gulp:0.1:unit", "mutual_knn:5", "rsa:correlation:spearman"]


def made(rows=4, columns=6, specs=SPECS, *, cka=True, blank=(), prefix="blocks", **attrs):
    random = np.random.default_rng(0)
    dims, variables = ("layer_a", "layer_b"), {}
    for spec in (["cka"] if cka else []) + list(specs):
        values = random.uniform(0, 0.4 if spec.startswith("gulp") else 1, (rows, columns))
        values[list(blank)] = np.nan
        told = {"measure": spec, "distance": int(spec.startswith(("procrustes", "gulp")))}
        variables[spec.replace(":", "_")] = (dims, values, {} if spec == "cka" else told)
    coords = {
        "layer_a": [f"{prefix}.{k}" for k in range(rows)],
        "layer_b": [f"layer{k // 3}.{k % 3}" for k in range(columns)],
    }
    told = {"analysis": "cka" if cka else "measures", "model_a": "vit", "model_b": "resnet20"}
    told |= {"dataset": "digits (test)", "examples": 360, "batch_size": 45}
    return xarray.Dataset(variables, coords, told | attrs)


def maps(figure):
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_title(loc="left")}


def drawn_texts(figure):
    return [t.get_text() for t in figure.findobj(Text) if t.get_visible() and t.get_text()]


def test_each_measure_is_drawn():
    result = made()
    figure = plot(result, measure=["cka", *SPECS])
    names = ["cka", *(s + " (distance)" * s.startswith(("procrustes", "gulp")) for s in SPECS)]
    found = maps(figure)
    assert list(found) == names
    for name, axes in found.items():
        spec = name.removesuffix(" (distance)")
        (image,) = axes.images
        np.testing.assert_array_equal(image.get_array(), result[spec.replace(":", "_")].values)
        far = name.endswith("(distance)")
        assert image.get_cmap().name == ("magma_r" if far else "magma")
        assert image.get_clim() == ((0, image.get_array().max()) if far else (0, 1))
    assert {"blocks.3", "layer1.2", "vit", "resnet20"} <= set(drawn_texts(figure))
    assert any("digits (test)" in text for text in drawn_texts(figure))


def test_measures_alone_and_some_of_them():
    assert list(maps(plot(made(cka=False)))) == list(maps(plot(made(), measure=SPECS)))
    assert list(maps(plot(made(), measure=["mutual_knn:5", "rsa"]))) == ["mutual_knn:5", "rsa"]
    assert len(maps(plot(made(cka=False), measure=["rsa"]))) == 1
    assert not maps(plot(made())), "the map of CKA"


@pytest.mark.parametrize(("rows", "columns", "specs"), [(1, 1, 1), (2, 30, 4), (60, 70, 2)])
def test_nothing_is_cut_off_or_on_top(rows, columns, specs, tmp_path):
    chosen = [f"mutual_knn:{k + 1}" for k in range(specs)]
    result = made(rows, columns, chosen, prefix="a_model.with.long_names.blocks")
    figure = plot(result, measure=["cka", *chosen])
    save_png(figure, tmp_path / "x.png")
    renderer = figure.canvas.get_renderer()
    width, height = figure.bbox.size
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text():
            box = text.get_window_extent(renderer)
            assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
    boxes = [axes.get_window_extent(renderer) for axes in figure.axes]
    for k, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[k + 1 :])
    found = list(maps(figure).values())
    titles = [axes._left_title.get_window_extent(renderer) for axes in found]
    for k, one in enumerate(titles):
        assert not any(one.overlaps(box) for box in titles[k + 1 :])


def test_blanks_are_hatched():
    figure = plot(made(blank=[1]), measure=["cka", "rsa"])
    assert all(axes.patch.get_hatch() for axes in maps(figure).values())
    assert any("hatched: no value" in text for text in drawn_texts(figure))
    every = plot(made(blank=range(4)), measure=["procrustes"])
    assert maps(every)["procrustes (distance)"].images[0].get_clim() == (0, 1)


def test_wrong_input():
    with pytest.raises(InputError, match="no measure 'rsaa'.*did you mean 'rsa'"):
        plot(made(), measure=["rsaa"])
    with pytest.raises(InputError, match="holds no measures"):
        plot(made(specs=[], cka=False))
    with pytest.raises(InputError, match="has no measure: leave it out"):
        plot(made(), made(model_a="other"), measure=["rsa"])
    odd = made()
    odd["rsa"] = ("layer_a", np.zeros(4), odd["rsa"].attrs)
    with pytest.raises(InputError, match="not over layer_a and layer_b"):
        plot(odd, measure=["rsa"])


def test_names_of_few_layers_are_whole():
    """Over the bar of a small map, too, there is room for them."""
    specs = ["rsa", "procrustes", "gulp", "mutual_knn:5"]
    figure = plot(made(1, 1, specs), measure=specs)
    assert list(maps(figure)) == ["rsa", "procrustes (distance)", "gulp (distance)", "mutual_knn:5"]
