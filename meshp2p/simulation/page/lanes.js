// The timeline itself: members as lanes, time from left to right.

const GUTTER = 132;
const AXIS = 26;
const EDGE = 5; // above the first lane and below the last
const FAULT_ROW = 19;
const MOST_FAULT_ROWS = 6;
const MOST_LINES = 8000; // more in one frame neither helps the eye nor stays smooth
const MOST_MARKS = 6000;
const SHORTEST = 2e-6; // seconds; moments are kept to the microsecond

const canvas = document.getElementById("timeline");
const shown = { lanes: [], hidden: new Set(), only: null, from: 0, to: END, top: 0, moment: 0 };
const stage = { width: 0, height: 0, lane: 30, head: 0 };
let touched = []; // what the last frame drew, for the mouse: {x, y, x2, y2, text()}
const rowOf = new Int32Array(SIZE); // row of each lane, -1 if it is filtered out

const xOf = (moment) => GUTTER + ((moment - shown.from) / (shown.to - shown.from)) * (stage.width - GUTTER);
const momentAt = (x) => shown.from + ((x - GUTTER) / (stage.width - GUTTER)) * (shown.to - shown.from);
const yOf = (lane) => stage.head + EDGE + (rowOf[lane] + 0.5) * stage.lane - shown.top;
const visible = () => {
  const first = Math.max(0, Math.floor((shown.top - EDGE) / stage.lane));
  return shown.lanes.slice(first, first + Math.ceil((stage.height - stage.head) / stage.lane) + 2);
};
const lowest = () => Math.max(0, shown.lanes.length * stage.lane - (stage.height - stage.head - 2 * EDGE));

function arrange() {
  rowOf.fill(-1);
  shown.lanes.forEach((lane, row) => (rowOf[lane] = row));
  const rows = Math.min(MOST_FAULT_ROWS, shown.hidden.has("fault") ? 0 : rowEnds.length);
  stage.width = canvas.parentElement.clientWidth;
  stage.head = AXIS + rows * FAULT_ROW + (rows ? 5 : 0);
  const room = Math.max(240, window.innerHeight * 0.56) - stage.head;
  const count = Math.max(1, shown.lanes.length);
  stage.lane = Math.max(4, Math.min(52, room / count));
  stage.height = stage.head + Math.min(room, stage.lane * count) + 2 * EDGE;
  shown.top = Math.max(0, Math.min(shown.top, lowest()));
}

function drawTimeline() {
  arrange();
  const context = prepare(canvas, stage.width, stage.height);
  touched = [];
  drawStripes(context);
  inLanes(context, () => {
    drawFaultShades(context);
    drawLives(context);
  });
  const skipped = inLanes(context, () => {
    const every = drawMessages(context);
    drawDrops(context);
    if (!shown.hidden.has("beliefs")) drawDoubts(context);
    return Math.max(every, drawDots(context));
  });
  drawAxis(context);
  drawFaultBars(context);
  drawMoment(context);
  drawViolations(context);
  drawNames(context);
  const note = document.getElementById("sampled");
  note.hidden = skipped <= 1;
  note.textContent = `1 of ${skipped} is drawn: zoom in for all`;
}

function inLanes(context, draw) {
  context.save();
  context.beginPath();
  context.rect(GUTTER, stage.head, stage.width - GUTTER, stage.height - stage.head);
  context.clip();
  const result = draw();
  context.restore();
  return result;
}

function drawStripes(context) {
  context.fillStyle = colour.stripe;
  for (const lane of visible()) {
    if (rowOf[lane] % 2 === 0) context.fillRect(0, yOf(lane) - stage.lane / 2, stage.width, stage.lane);
  }
}

function drawNames(context) {
  context.save();
  context.fillStyle = colour.panel;
  context.globalAlpha = 0.92;
  context.fillRect(0, 0, GUTTER - 1, stage.head);
  context.globalAlpha = 1;
  context.fillStyle = colour.line;
  context.fillRect(GUTTER - 1, 0, 1, stage.height);
  context.fillRect(0, stage.head - 1, stage.width, 1);
  context.beginPath();
  context.rect(0, stage.head, GUTTER - 1, stage.height);
  context.clip();
  context.textBaseline = "middle";
  const size = stage.lane < 16 ? 10 : 12.5;
  const every = Math.ceil(12 / stage.lane); // the others are told by the mouse
  for (const lane of visible()) {
    const y = yOf(lane);
    const life = lifeAt(lane, shown.moment);
    context.fillStyle = life ? colour[life] : colour.unknown;
    context.beginPath();
    context.arc(13, y, Math.min(4, stage.lane / 3), 0, 7);
    context.fill();
    if (rowOf[lane] % every && shown.only !== lane) continue;
    context.font = font(size, shown.only === lane ? 700 : 500);
    context.fillStyle = shown.only === null || shown.only === lane ? colour.ink : colour.faint;
    context.fillText(fitted(context, names[lane], GUTTER - 34), 24, y + 0.5);
  }
  context.restore();
}

// --- time ----------------------------------------------------------------------------------

function tickStep() {
  const raw = ((shown.to - shown.from) / (stage.width - GUTTER)) * 90;
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw);
}

function drawAxis(context) {
  const step = tickStep();
  const digits = Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9)));
  context.font = font(11);
  context.textBaseline = "middle";
  context.textAlign = "center";
  for (let tick = Math.ceil(shown.from / step); tick * step <= shown.to; tick++) {
    const x = Math.round(xOf(tick * step)) + 0.5;
    context.fillStyle = colour.line;
    context.fillRect(x, AXIS - 6, 1, 6);
    context.globalAlpha = 0.55;
    context.fillRect(x, stage.head, 1, stage.height);
    context.globalAlpha = 1;
    context.fillStyle = colour.faint;
    if (x > GUTTER + 4 && x < stage.width - 24) context.fillText(seconds(tick * step, digits), Math.max(x, GUTTER + 24), AXIS / 2 - 1);
  }
  context.textAlign = "left";
}

function drawMoment(context) {
  const x = xOf(shown.moment);
  if (x < GUTTER - 1 || x > stage.width + 1) return;
  context.fillStyle = colour.accent;
  context.fillRect(Math.round(x) - 0.5, AXIS - 8, 1.5, stage.height);
  context.beginPath();
  context.moveTo(x - 5, AXIS - 9);
  context.lineTo(x + 5, AXIS - 9);
  context.lineTo(x, AXIS - 2);
  context.fill();
}

// --- members ---------------------------------------------------------------------------------

function drawLives(context) {
  const thick = Math.max(1, Math.min(7, stage.lane / 6));
  for (const lane of visible()) {
    const y = yOf(lane);
    for (const { from, to, state } of lives[lane]) {
      const x = Math.max(GUTTER, xOf(from));
      const width = Math.min(stage.width, xOf(to)) - x;
      if (width < 0 || x > stage.width) continue;
      drawLife(context, state, x, y, Math.max(width, 1), thick);
    }
  }
}

function drawLife(context, state, x, y, width, thick, high = stage.lane) {
  context.fillStyle = colour[state];
  if (state === "up") {
    context.globalAlpha = 0.8;
    context.fillRect(x, y - thick / 2, width, thick);
  } else if (state === "paused") {
    context.globalAlpha = 0.18;
    context.fillRect(x, y - thick, width, 2 * thick);
    context.globalAlpha = 1;
    hatch(context, x, y - thick, width, 2 * thick, colour.paused);
  } else if (state === "crashed") {
    context.globalAlpha = 0.1;
    context.fillRect(x, y - high / 2 + 1, width, high - 2);
    context.globalAlpha = 0.8;
    for (let at = x; at < x + width; at += 9) context.fillRect(at, y - 0.75, Math.min(4, x + width - at), 1.5);
  } else {
    context.globalAlpha = 0.5;
    context.fillRect(x, y - 0.5, width, 1);
  }
  context.globalAlpha = 1;
}

/** Under each lane: how many of those who know the member suspect it, or believe it dead. */
function drawDoubts(context) {
  const high = Math.max(2, Math.min(10, stage.lane / 4));
  for (const lane of visible()) {
    const steps = doubts[lane];
    const y = yOf(lane) + stage.lane / 2 - high - Math.min(1, stage.lane / 16);
    let painted = 0; // up to here: of steps within one pixel the first stands for all
    let index = Math.max(0, firstFrom(steps.at, shown.from) - 1);
    for (; index < steps.at.length && steps.at[index] <= shown.to; index++) {
      const step = index; // for the text, which is asked for later
      if (!steps.suspect[index] && !steps.dead[index]) continue;
      const x = Math.max(GUTTER, xOf(steps.at[index]));
      const next = index + 1 < steps.at.length ? steps.at[index + 1] : END;
      const width = Math.max(1, Math.min(stage.width, xOf(next)) - x);
      if (x + width < painted + 0.5) continue;
      painted = x + width;
      const dead = (high * steps.dead[index]) / steps.known[index];
      const suspect = (high * steps.suspect[index]) / steps.known[index];
      if (stage.lane >= 16) {
        context.fillStyle = colour.line; // how high it would be if all did
        context.globalAlpha = 0.6;
        context.fillRect(x, y, width, high);
        context.globalAlpha = 1;
      }
      context.fillStyle = colour.dead;
      context.fillRect(x, y + high - dead, width, dead);
      context.fillStyle = colour.suspect;
      context.fillRect(x, y + high - dead - suspect, width, suspect);
      if (stage.lane >= 16) touched.push({ x, y: y + high / 2, x2: x + width, y2: y + high / 2, text: () => doubtText(lane, step) });
    }
  }
}

function doubtText(lane, index) {
  const { at, dead, suspect, known } = doubts[lane];
  return `${names[lane]}, from ${seconds(at[index])}\nof ${known[index]} who know it ${suspect[index]} suspect it, ${dead[index]} believe it dead`;
}
