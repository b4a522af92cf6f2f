"""Questions to a page that is open in a browser, each answered by the page's own state."""

from __future__ import annotations

from typing import Final

CONTRASTS: Final = r"""
() => {
  // A colour as the browser paints it, whatever notation it was written in.
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const painted = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = (top, below) =>
    [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const probe = document.createElement("div");
  probe.style.background = "Canvas";
  document.body.append(probe);
  const paper = painted(getComputedStyle(probe).backgroundColor);
  probe.remove();
  const behind = element => {
    const layers = [];
    for (let each = element; each; each = each.parentElement)
      layers.push(painted(getComputedStyle(each).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), paper);
  };
  const luminance = colour => {
    const [red, green, blue] = colour.slice(0, 3).map(part => part / 255)
      .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const element = text.parentElement;
    if (!text.textContent.trim() || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const paint = behind(element);
    const [high, low] = [luminance(over(painted(style.color), paint)), luminance(paint)]
      .sort((one, other) => other - one);
    const size = parseFloat(style.fontSize);
    found.push({
      text: text.textContent.trim().slice(0, 40),
      ratio: (high + 0.05) / (low + 0.05),
      large: size >= 24 || (size >= 18.66 && style.fontWeight >= 700),
    });
  }
  return found;
}
"""
"""The contrast of each visible text, as WCAG 2.2 computes it (1.4.3)."""

FOCUSABLE: Final = r"""
() => [...document.querySelectorAll("a[href], button, input, select, textarea, [tabindex]")]
  .filter(each => each.tabIndex >= 0 && each.checkVisibility())
  .map(each => each.outerHTML.slice(0, 120))
"""
"""What Tab should reach, in the order of the document."""

FOCUSED: Final = r"""
() => {
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  return {
    html: element.outerHTML.slice(0, 120),
    outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0,
    seen: box.width > 0 && box.right > 0 && box.left < innerWidth
      && box.bottom > 0 && box.top < innerHeight,
  };
}
"""
"""What has the focus, whether that shows, and whether it is in view."""

HEADINGS: Final = (
    "() => [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(each => +each.tagName[1])"
)
"""The levels of its headings, in order."""

OVERFLOW: Final = "() => document.documentElement.scrollWidth - innerWidth"
"""How many pixels it is wider than the window."""
