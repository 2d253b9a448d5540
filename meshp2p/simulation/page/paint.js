// Colours, and canvases that are sharp on every screen.

const colour = {};
const COLOURS = [
  "paper", "panel", "ink", "faint", "line", "stripe", "accent", "up", "paused", "crashed", "left",
  "alive", "suspect", "dead", "gone", "unknown", "message0", "message1", "message2", "message3",
  "drop", "fault", "violation", "decide", "work",
];

/** Ask the style sheet what each colour is just now. */
function readColours() {
  const probe = document.body.appendChild(document.createElement("i"));
  for (const name of COLOURS) {
    probe.style.color = `var(--${name})`;
    colour[name] = getComputedStyle(probe).color;
  }
  probe.remove();
}

const beliefColour = (belief) => colour[["unknown", "alive", "suspect", "dead", "gone"][belief]];
const FONT = getComputedStyle(document.body).fontFamily;
const font = (size, weight = 400) => `${weight} ${size}px ${FONT}`;

/** Give a canvas its size in CSS pixels; return its empty context. */
function prepare(canvas, width, height) {
  const sharp = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * sharp);
  canvas.height = Math.round(height * sharp);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(sharp, 0, 0, sharp, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** A text cut to a width. */
function fitted(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let length = text.length;
  while (length > 1 && context.measureText(text.slice(0, length) + "…").width > width) length = Math.floor(length * 0.9);
  return text.slice(0, length) + "…";
}

/** Slanted lines over a rectangle: what stands still. */
function hatch(context, x, y, width, height, ink) {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.strokeStyle = ink;
  context.lineWidth = 1.5;
  context.beginPath();
  const from = Math.max(x - height, -height - 6);
  const to = Math.min(x + width, context.canvas.width);
  for (let at = from - (from % 6); at < to; at += 6) {
    context.moveTo(at, y + height);
    context.lineTo(at + height, y);
  }
  context.stroke();
  context.restore();
}

// --- what there is to show or hide --------------------------------------------------------

const DOT_COLOURS = {
  decide: "decide", handler: "work", call: "accent", finish: "work", view: "suspect", crash: "crashed",
  restart: "up", join: "up", pause: "paused", resume: "up", leave: "left", log: "faint",
};
const LIFE = new Set(["join", "crash", "restart", "pause", "resume", "leave"]); // one switch for all
const keyOf = (kind) => (LIFE.has(kind) ? "life" : `dot ${kind}`);
const QUIET = new Set(["timer", "persist", "sync", "open", "close", "log", "view"]); // hidden at first
const whats = [...new Set([...messages.what, ...drops.what])].sort((one, other) => (texts[one] < texts[other] ? -1 : 1));
const messageColour = (what) => colour[`message${whats.indexOf(what) % 4}`];

/** The mark of a dot: a shape for what is decided, done, asked, and a small tick for the rest. */
function mark(context, kind, x, y) {
  context.fillStyle = context.strokeStyle = colour[DOT_COLOURS[kind] ?? "faint"];
  context.lineWidth = 1.6;
  context.beginPath();
  if (kind === "decide") {
    context.moveTo(x, y - 5);
    context.lineTo(x + 5, y);
    context.lineTo(x, y + 5);
    context.lineTo(x - 5, y);
    context.fill();
  } else if (kind === "handler" || kind === "finish") {
    context.arc(x, y, 3.4, 0, 7);
    if (kind === "handler") context.fill();
    else context.stroke();
  } else if (kind === "call" || kind === "restart" || kind === "join" || kind === "resume") {
    context.moveTo(x - 3, y - 4.5);
    context.lineTo(x + 5, y);
    context.lineTo(x - 3, y + 4.5);
    context.fill();
  } else if (kind === "crash") {
    cross(context, x, y, 4.5);
  } else {
    context.fillRect(x - 1, y - 4, 2, 8);
  }
}

function cross(context, x, y, size) {
  context.moveTo(x - size, y - size);
  context.lineTo(x + size, y + size);
  context.moveTo(x - size, y + size);
  context.lineTo(x + size, y - size);
  context.stroke();
}
