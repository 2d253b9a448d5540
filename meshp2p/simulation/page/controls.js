// Mouse, keys, filters, and the one loop that draws.

const byId = (id) => document.getElementById(id);
let [laneDue, mapDue] = [false, false];

/** Draw again before the next frame; the map only if the moment or the members changed. */
function redraw({ withMap = false } = {}) {
  if (!laneDue) requestAnimationFrame(draw);
  laneDue = true;
  mapDue ||= withMap;
}

function draw() {
  laneDue = false;
  drawTimeline();
  if (mapDue) drawMap();
  mapDue = false;
}

// --- moment and stretch -----------------------------------------------------------------------

function choose(moment, { follow = false } = {}) {
  shown.moment = Math.max(0, Math.min(END, moment));
  byId("when").value = shown.moment;
  byId("clock").textContent = seconds(shown.moment);
  byId("when").setAttribute("aria-valuetext", seconds(shown.moment));
  const wide = shown.to - shown.from;
  if (follow && (shown.moment < shown.from || shown.moment > shown.to)) show(shown.moment - wide / 2, shown.moment + wide / 2);
  redraw({ withMap: true });
}

function show(from, to) {
  const wide = Math.max(SHORTEST, Math.min(to - from, END * 1.04));
  const margin = END * 0.02;
  const begin = Math.max(-margin, Math.min(from, END + margin - wide));
  [shown.from, shown.to] = [begin, begin + wide];
  redraw();
}

const zoom = (factor, around = (shown.from + shown.to) / 2) =>
  show(around - (around - shown.from) * factor, around + (shown.to - around) * factor);
const move = (share) => show(shown.from + share * (shown.to - shown.from), shown.to + share * (shown.to - shown.from));
const wholeRun = () => show(-END * 0.01, END * 1.01);

function toChange(way) {
  const place = firstFrom(changes, shown.moment + (way > 0 ? 1e-9 : -1e-9));
  const found = way > 0 ? changes[place] : changes[place - 1];
  if (found !== undefined) choose(found, { follow: true });
}

let played = 0;
function play() {
  const starts = !played;
  cancelAnimationFrame(played);
  played = 0;
  byId("play").textContent = starts ? "■" : "▶";
  if (!starts) return;
  const pace = (shown.to - shown.from) / 15; // what is visible takes a quarter of a minute
  let last = performance.now();
  if (shown.moment >= END) choose(0, { follow: true });
  const go = (now) => {
    choose(shown.moment + ((now - last) / 1000) * pace, { follow: true });
    last = now;
    if (shown.moment < END) played = requestAnimationFrame(go);
    else play();
  };
  played = requestAnimationFrame(go);
}

// --- mouse -------------------------------------------------------------------------------------

canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
  if (event.offsetX < GUTTER || event.altKey) scrollLanes(event.deltaY);
  else if (sideways || event.shiftKey) move((event.deltaX || event.deltaY) / (stage.width - GUTTER));
  else zoom(Math.exp(event.deltaY * 0.0016), momentAt(event.offsetX));
}, { passive: false });

function scrollLanes(by) {
  shown.top = Math.max(0, Math.min(lowest(), shown.top + by));
  redraw();
}

let grip = null;
canvas.addEventListener("pointerdown", (event) => {
  grip = { x: event.offsetX, y: event.offsetY, from: shown.from, to: shown.to, top: shown.top, moved: false };
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  if (!grip) return tell(event, textAt(event.offsetX, event.offsetY));
  const dx = event.offsetX - grip.x;
  if (!grip.moved && Math.hypot(dx, event.offsetY - grip.y) < 4) return undefined;
  grip.moved = true;
  canvas.classList.add("dragging");
  byId("tip").hidden = true;
  shown.top = Math.max(0, Math.min(lowest(), grip.top - (event.offsetY - grip.y)));
  const by = (dx / (stage.width - GUTTER)) * (grip.to - grip.from);
  return show(grip.from - by, grip.to - by);
});
canvas.addEventListener("pointerup", (event) => {
  const wasClick = grip && !grip.moved;
  grip = null;
  canvas.classList.remove("dragging");
  if (!wasClick) return;
  if (event.offsetX >= GUTTER) choose(momentAt(event.offsetX));
  else if (event.offsetY >= stage.head) chooseOnly(shown.lanes[laneRow(event.offsetY)]);
});
canvas.addEventListener("pointercancel", () => (grip = null));

const laneRow = (y) => Math.floor((y - stage.head - EDGE + shown.top) / stage.lane);

function chooseOnly(lane) {
  shown.only = lane === undefined || shown.only === lane ? null : lane;
  redraw();
}

/** The text of whatever was drawn nearest to a point; what was drawn last lies on top. */
function textAt(x, y) {
  if (x < GUTTER) {
    const lane = y < stage.head ? undefined : shown.lanes[laneRow(y)];
    return lane === undefined ? "" : `${names[lane]} is ${lifeAt(lane, shown.moment) || "not there yet"}`;
  }
  let [best, found] = [Infinity, null];
  for (let index = touched.length - 1; index >= 0; index--) {
    const each = touched[index];
    const away = distance(x, y, each);
    if (away < Math.min(best, each.reach ?? 6)) [best, found] = [away, each];
  }
  return found ? found.text() : "";
}

function distance(x, y, { x: x1, y: y1, x2, y2 }) {
  const [dx, dy] = [x2 - x1, y2 - y1];
  const along = Math.max(0, Math.min(1, ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x - x1 - along * dx, y - y1 - along * dy);
}

function tell(event, text) {
  const tip = byId("tip");
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.min(event.clientX + 14, window.innerWidth - width - 8)}px`;
  tip.style.top = `${event.clientY + 18 + height > window.innerHeight ? event.clientY - height - 10 : event.clientY + 18}px`;
}

map.addEventListener("pointermove", (event) => tell(event, mapText(event.offsetX, event.offsetY)));
for (const each of [map, canvas]) each.addEventListener("pointerleave", () => (byId("tip").hidden = true));

// --- keys and buttons --------------------------------------------------------------------------

const KEYS = {
  ArrowLeft: () => move(-0.15), ArrowRight: () => move(0.15),
  ArrowUp: () => scrollLanes(-60), ArrowDown: () => scrollLanes(60),
  "+": () => zoom(1 / 1.5), "=": () => zoom(1 / 1.5), "-": () => zoom(1.5), 0: wholeRun, Home: wholeRun,
  ",": () => toChange(-1), ".": () => toChange(1), " ": play,
};
document.addEventListener("keydown", (event) => {
  const act = KEYS[event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, button")) return;
  event.preventDefault();
  act();
});
byId("in").onclick = () => zoom(1 / 1.5);
byId("out").onclick = () => zoom(1.5);
byId("fit").onclick = wholeRun;
byId("before").onclick = () => toChange(-1);
byId("next").onclick = () => toChange(1);
byId("play").onclick = play;
byId("when").oninput = () => choose(Number(byId("when").value), { follow: true });
byId("theme").onclick = () => {
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (isDark ? "dark" : "light");
  document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  repaint();
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
window.addEventListener("resize", () => redraw({ withMap: true }));

// --- filters -------------------------------------------------------------------------------------

function filterMembers() {
  const wanted = byId("who").value.toLowerCase().split(",").map((each) => each.trim()).filter(Boolean);
  const all = names.map((_, lane) => lane);
  shown.lanes = wanted.length ? all.filter((lane) => wanted.some((each) => names[lane].toLowerCase().includes(each))) : all;
  if (shown.only !== null && !shown.lanes.includes(shown.only)) shown.only = null;
  redraw({ withMap: true });
}
byId("who").oninput = filterMembers;

/** Everything that can be hidden: [key, label, how many, how its mark is drawn]. */
function kindsThere() {
  const kinds = whats.map((what) => [`message ${what}`, texts[what] || "message", tally(messages.what, what), (context) => {
    context.strokeStyle = messageColour(what);
    context.lineWidth = 1.6;
    context.beginPath();
    context.moveTo(1, 2);
    context.lineTo(15, 10);
    context.lineTo(10, 10.5);
    context.moveTo(15, 10);
    context.lineTo(13, 5.5);
    context.stroke();
  }]);
  if (drops.sent.length) kinds.push(["drop", "lost", drops.sent.length, (context) => {
    context.strokeStyle = colour.drop;
    context.lineWidth = 1.6;
    context.beginPath();
    cross(context, 9, 6, 3.5);
  }]);
  if (faults.length) kinds.push(["fault", "faults", faults.length, (context) => fillMark(context, colour.fault)]);
  if (views.at.length) kinds.push(["beliefs", "suspected or believed dead", 0, (context) => {
    context.fillStyle = colour.suspect;
    context.fillRect(0, 3, 9, 6);
    context.fillStyle = colour.dead;
    context.fillRect(9, 3, 9, 6);
  }]);
  const told = [...new Set(dots.kind)].filter((kind) => !LIFE.has(texts[kind]));
  if (dots.kind.some((kind) => LIFE.has(texts[kind]))) kinds.push(["life", "starts and ends", 0, (context) => {
    mark(context, "restart", 3, 6);
    mark(context, "crash", 13.5, 6);
  }]);
  for (const kind of told.sort((one, other) => QUIET.has(texts[one]) - QUIET.has(texts[other]))) {
    kinds.push([`dot ${texts[kind]}`, texts[kind], tally(dots.kind, kind), (context) => mark(context, texts[kind], 9, 6)]);
  }
  return kinds;
}

const tally = (column, value) => column.reduce((sum, each) => sum + (each === value), 0);

function fillMark(context, ink) {
  context.fillStyle = ink;
  context.globalAlpha = 0.45;
  context.fillRect(0, 1, 18, 10);
  context.globalAlpha = 1;
  context.fillRect(0, 1, 2.5, 10);
}

const kinds = kindsThere();
for (const [key, label, many] of kinds) {
  if (key.startsWith("dot ") && QUIET.has(label)) shown.hidden.add(key);
  const button = element("button");
  button.append(document.createElement("canvas"), element("span", label));
  if (many) button.append(element("small", many.toLocaleString("en")));
  button.setAttribute("aria-pressed", String(!shown.hidden.has(key)));
  button.onclick = () => {
    if (!shown.hidden.delete(key)) shown.hidden.add(key);
    button.setAttribute("aria-pressed", String(!shown.hidden.has(key)));
    redraw();
  };
  byId("kinds").append(button);
}

function repaint() {
  readColours();
  kinds.forEach(([, , , paint], place) => paint(prepare(byId("kinds").children[place].firstChild, 18, 12)));
  byId("lives").replaceChildren(...LIVES.map((state) => {
    const [entry, swatch] = [element("span"), document.createElement("canvas")];
    drawLife(prepare(swatch, 26, 12), state, 0, 6, 26, 5, 12);
    entry.append(swatch, state);
    return entry;
  }));
  const key = [...BELIEFS.map((belief, number) => [belief, beliefColour(number)]), ["outlined: it is otherwise", null]];
  byId("key").replaceChildren(...key.map(([label, ink]) => {
    const [entry, swatch] = [element("span"), document.createElement("canvas")];
    const context = prepare(swatch, 14, 14);
    context.fillStyle = ink ?? colour.panel;
    context.fillRect(1, 1, 12, 12);
    context.strokeStyle = ink ? colour.line : colour.ink;
    context.lineWidth = ink ? 1 : 2;
    context.strokeRect(1.5, 1.5, 11, 11);
    entry.append(swatch, label);
    return entry;
  }));
  redraw({ withMap: true });
}

// --- the beginning ---------------------------------------------------------------------------------

const happened = Object.values(run.counts).reduce((sum, each) => sum + each, 0);
byId("facts").textContent = [
  ...run.facts, `${names.length} members`, seconds(run.ended), `${happened.toLocaleString("en")} happenings`,
].join(" · ");
byId("notes").append(...run.notes.map((note) => element("li", note)));
byId("violations").append(...run.violations.map(([at, , text]) => {
  const button = element("button", `✕ ${text} `);
  button.append(element("span", `at ${seconds(at)}`));
  button.onclick = () => {
    show(at - END / 20, at + END / 20);
    choose(at);
  };
  const entry = element("li");
  entry.append(button);
  return entry;
}));
byId("when").max = END;

/** A link may choose the moment and the stretch: run.html#t=12.5&from=10&to=20 */
function followLink() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const number = (name, otherwise) => (asked.has(name) && isFinite(asked.get(name)) ? Number(asked.get(name)) : otherwise);
  show(number("from", -END * 0.01), number("to", END * 1.01));
  choose(number("t", run.violations.length ? run.violations[0][0] : END));
}
window.addEventListener("hashchange", followLink);
filterMembers();
readColours();
followLink();
repaint();
