async function drawLines(figure) { return frame(figure, {}).element; }
