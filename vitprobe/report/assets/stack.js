async function drawStack(figure) { return frame(figure, {}).element; }
