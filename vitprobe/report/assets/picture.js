// An image as it is.

async function drawPicture(figure) {
  const { element, body } = frame(figure, {});
  const file = make("a", { href: figure.source, download: fileName(figure.title, "png"), class: "small" }, "PNG");
  body.append(make("img", { src: figure.source, alt: figure.alt, class: "picture" }), file);
  return element;
}
