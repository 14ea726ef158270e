// Two small charts as SVG, so that their colours follow the page's, in dark and in light.
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600, HEIGHT = 130, TOP = 14, FOOT = 18, LEFT = 44;

/** Bars per minute for each of `bars` (drawn in that order), and a line over them. */
export function draw(figure, minutes, { bars, line, unit, label, describe }) {
  const most = ceiling(Math.max(1e-9, ...minutes.flatMap((m) => [...bars, line].filter(Boolean).map((k) => m[k]))), unit);
  const x = (i) => LEFT + (i * (WIDTH - LEFT)) / minutes.length;
  const y = (v) => TOP + (HEIGHT - TOP - FOOT) * (1 - v / most);
  const width = (WIDTH - LEFT) / minutes.length;
  const svg = element("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  for (const part of [0, 0.5, 1]) svg.append(element("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: y(most * part), y2: y(most * part) }));
  for (const key of bars)
    minutes.forEach((minute, i) => {
      const top = y(minute[key]);
      if (minute[key] > 0) svg.append(element("rect", { class: key.replace("_seconds", ""), x: x(i) + width * 0.14, y: Math.min(top, y(0) - 1.5), width: width * 0.72, height: Math.max(1.5, y(0) - top), rx: 1.5 }));
    });
  if (line) svg.append(element("polyline", { class: line, points: minutes.map((minute, i) => `${x(i) + width / 2},${y(minute[line])}`).join(" ") }));
  minutes.forEach((minute, i) => {
    const hit = element("rect", { class: "hit", x: x(i), y: TOP, width, height: HEIGHT - TOP - FOOT });
    hit.append(element("title", {}, describe(minute)));
    svg.append(hit);
  });
  const old = figure.querySelector(".plot");
  const plot = document.createElement("div");
  plot.className = "plot";
  plot.append(svg, scale(most, unit, minutes));
  old ? old.replaceWith(plot) : figure.append(plot);
}

/** The numbers beside and below; apart from the drawing, which is stretched. */
function scale(most, unit, minutes) {
  const box = document.createElement("div");
  box.className = "scale";
  box.setAttribute("aria-hidden", "true");
  for (const [part, name] of [[1, "whole"], [0.5, "middle"]]) box.append(word(unit(most * part), name));
  const last = minutes.at(-1);
  if (last) box.append(word(clock(minutes[0].at), "first"), word(clock(minutes[Math.floor(minutes.length / 2)].at), "half"), word("now", "now"));
  return box;
}

function word(text, name) {
  const span = document.createElement("span");
  span.textContent = text;
  span.className = name;
  return span;
}

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

const SPANS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200];

/** A length of time for the scale. */
export function span(s) {
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  return s <= 60 ? `${s} s` : `${s / 60} min`;
}

/** The next round number, so that the scale does not jump with every event. */
function ceiling(most, unit) {
  const round = unit === span && SPANS.find((each) => each >= most * 0.999);
  if (round) return round;
  const size = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 4, 6, 10].map((step) => step * size).find((each) => each >= most * 0.999);
}

export const clock = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
