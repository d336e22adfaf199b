function registerMaps() {}
async function drawMap(figure) { return frame(figure, {}).element; }
