// An image as it is.

async function drawPicture(figure) {
  const { element, body } = frame(figure, {});
  const file = make("a", { href: figure.source, download: fileName(figure.title, "png"), class: "file", "aria-label": `PNG of ${figure.title}` }, "PNG");
  element.querySelector(".files").append(file);
  body.append(make("img", { src: figure.source, alt: figure.alt, class: "picture" }));
  return element;
}
