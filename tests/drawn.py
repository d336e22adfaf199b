"""Where texts land on a figure's canvas."""

import numpy as np
from matplotlib.text import Text


def texts(figure):
    """Every text that is drawn, with its bounding box in pixels: (artists, (n, 4) x0 y0 x1 y1)."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    drawn = []
    unseen = _beyond_their_axis(figure)
    for text in figure.findobj(lambda a: isinstance(a, Text) and a.get_visible() and a.get_text()):
        if text in unseen:
            continue
        drawn.append((text, text.get_window_extent(renderer).extents))
    shown = [(text, box) for text, box in drawn if np.ptp(box[::2]) and np.ptp(box[1::2])]
    return [text for text, _ in shown], np.array([box for _, box in shown])


def _beyond_their_axis(figure):
    """Labels of ticks that matplotlib keeps and does not draw."""
    axes = [axis for each in figure.axes for axis in (each.xaxis, each.yaxis)]
    ticks = [(tick, *sorted(axis.get_view_interval())) for axis in axes for tick in axis.majorTicks]
    beyond = [tick for tick, low, high in ticks if not low <= tick.get_loc() <= high]
    return {label for tick in beyond for label in (tick.label1, tick.label2)}


def overlapping(boxes, others):
    """(n, m): whether box i and other j share more than an edge."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return (high > low).all(-1)


def check_texts(figure, least=6.0):
    """Every text is legible, inside the canvas, and touches neither another nor any axes."""
    artists, boxes = texts(figure)
    assert min(text.get_fontsize() for text in artists) >= least
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= figure.bbox.size).all()
    touching = np.argwhere(np.triu(overlapping(boxes, boxes), 1))
    assert not len(touching), [(artists[i].get_text(), artists[j].get_text()) for i, j in touching]
    areas = np.array([axes.bbox.extents for axes in figure.axes if axes.axison])
    on_axes = [artists[i].get_text() for i in np.flatnonzero(overlapping(boxes, areas).any(1))]
    assert not [text for text in on_axes if text != "no result"]
    assert not np.triu(overlapping(areas, areas), 1).any()
