// The map: row by row what a member believes of the others, at the chosen moment.

const MOST_MAPPED = 200; // members; more would be cells of less than three pixels
const MOST_OPINIONS = 40;
const map = document.getElementById("map");
const OPINIONS = { [ALIVE]: "alive to", [SUSPECT]: "suspected by", [DEAD]: "dead to", [LEFT]: "gone for" };
const grid = { lanes: [], cell: 0, left: 0, top: 0, beliefs: null };

function drawMap() {
  grid.lanes = shown.lanes.slice(0, MOST_MAPPED);
  grid.beliefs = beliefsAt(shown.moment);
  const count = Math.max(1, grid.lanes.length);
  const room = Math.min(680, map.closest("section").clientWidth - 120);
  grid.cell = Math.max(3, Math.min(34, Math.floor(room / count)));
  const labelled = grid.cell >= 9;
  grid.left = labelled ? 104 : 4;
  grid.top = labelled ? 8 + 0.71 * Math.min(92, 7 * Math.max(...grid.lanes.map((lane) => names[lane].length), 3)) : 4;
  const size = grid.cell * count;
  const context = prepare(map, grid.left + size + 60, grid.top + size + 2);
  const now = grid.lanes.map((lane) => lifeAt(lane, shown.moment));
  grid.lanes.forEach((who, row) => {
    grid.lanes.forEach((whom, column) => drawCell(context, who, whom, row, column, now));
  });
  if (labelled) drawLabels(context, now);
  const left = shown.lanes.length - grid.lanes.length;
  const note = document.getElementById("unmapped");
  note.hidden = left <= 0;
  note.textContent = `The first ${MOST_MAPPED} of ${shown.lanes.length} members: filter them by name to see the others.`;
  tellOpinions();
}

function drawCell(context, who, whom, row, column, now) {
  const [x, y, size] = [grid.left + column * grid.cell, grid.top + row * grid.cell, grid.cell];
  const inner = size > 5 ? size - 1 : size;
  if (who === whom) {
    context.fillStyle = now[row] ? colour[now[row]] : colour.unknown;
    context.globalAlpha = 0.3;
    context.fillRect(x, y, inner, inner);
    context.globalAlpha = 1;
    return;
  }
  const belief = grid.beliefs[who * SIZE + whom];
  context.fillStyle = beliefColour(belief);
  const right = isRight(belief, now[column]);
  const muted = now[row] === "paused" || (size < 9 && right && belief > ALIVE);
  context.globalAlpha = muted ? 0.5 : 1; // where there is no room for an outline, the right ones step back
  context.fillRect(x, y, inner, inner);
  context.globalAlpha = 1;
  if (!right && size >= 9) {
    context.strokeStyle = colour.ink;
    context.lineWidth = size > 14 ? 2 : 1;
    context.strokeRect(x + 1, y + 1, inner - 2, inner - 2);
  }
  if (size < 16 || belief === UNKNOWN) return;
  context.fillStyle = belief === ALIVE ? colour.ink : "#fff";
  context.globalAlpha = belief === ALIVE ? 0.45 : 1;
  context.font = font(Math.min(12, size * 0.5), 700);
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(BELIEFS[belief][0], x + inner / 2, y + inner / 2 + 0.5);
  context.globalAlpha = 1;
  context.textAlign = "left";
}

function drawLabels(context, now) {
  context.font = font(Math.min(12, grid.cell + 1));
  context.textBaseline = "middle";
  grid.lanes.forEach((lane, place) => {
    const middle = (place + 0.5) * grid.cell;
    context.fillStyle = isThere(now[place]) ? colour.ink : colour.faint;
    const name = fitted(context, names[lane], 92);
    context.textAlign = "right";
    context.fillText(name, grid.left - 7, grid.top + middle);
    context.save();
    context.translate(grid.left + middle, grid.top - 6);
    context.rotate(-Math.PI / 4);
    context.textAlign = "left";
    context.fillText(fitted(context, names[lane], 84), 0, 0);
    context.restore();
  });
  context.textAlign = "left";
}

/** What the mouse points at: a sentence, or "". */
function mapText(x, y) {
  const [row, column] = [Math.floor((y - grid.top) / grid.cell), Math.floor((x - grid.left) / grid.cell)];
  const [who, whom] = [grid.lanes[row], grid.lanes[column]];
  if (who === undefined || whom === undefined) return "";
  const [mine, its] = [lifeAt(who, shown.moment) || "not there yet", lifeAt(whom, shown.moment) || "not there yet"];
  if (who === whom) return `${names[who]} is ${mine}`;
  const belief = grid.beliefs[who * SIZE + whom];
  const since = sinceWhen(who, whom, shown.moment);
  if (belief === UNKNOWN) return `${names[who]} (${mine}) knows nothing of ${names[whom]} (${its})`;
  const reason = since?.reason ? `\n${since.reason}` : "";
  return `${names[who]} (${mine}) believes ${names[whom]} (${its}) ${BELIEFS[belief]}, since ${seconds(since.at)}${reason}`;
}

// --- the same in words ------------------------------------------------------------------------

function tellOpinions() {
  let [held, right] = [0, 0];
  const lines = [];
  const there = shown.lanes.filter((lane) => isThere(lifeAt(lane, shown.moment)));
  for (const whom of shown.lanes) {
    const life = lifeAt(whom, shown.moment);
    const by = BELIEFS.map(() => []);
    for (const who of there) if (who !== whom) by[grid.beliefs[who * SIZE + whom]].push(who);
    let wrong = 0;
    by.forEach((believers, belief) => {
      if (belief === UNKNOWN) return;
      held += believers.length;
      if (isRight(belief, life)) right += believers.length;
      else wrong += believers.length;
    });
    if (wrong || life === "paused" || life === "crashed") lines.push([whom, life, by, wrong]);
  }
  lines.sort((one, other) => other[3] - one[3]);
  const list = document.getElementById("opinions");
  list.replaceChildren(...lines.slice(0, MOST_OPINIONS).map(opinionLine));
  if (lines.length > MOST_OPINIONS) list.append(element("li", `and ${lines.length - MOST_OPINIONS} more`));
  const verdict = held === right ? `All ${held} beliefs are right` : `${held - right} of ${held} beliefs are wrong`;
  document.getElementById("verdict").textContent = held ? verdict : "Nobody believes anything yet";
}

function opinionLine([whom, life, by]) {
  const line = element("li");
  line.append(element("b", names[whom]), element("i", ` is ${life || "not there yet"}: `));
  const parts = [DEAD, SUSPECT, LEFT, ALIVE]
    .filter((belief) => by[belief].length)
    .map((belief) => `${OPINIONS[belief]} ${listed(by[belief].map((who) => names[who]))}`);
  line.append(parts.join("; ") || "nobody knows it");
  return line;
}

const listed = (all) => (all.length > 6 ? `${all.length} members (${all.slice(0, 3).join(", ")}, …)` : all.join(", "));

function element(tag, text = "") {
  const made = document.createElement(tag);
  made.textContent = text; // never HTML: a name may be a hostile one
  return made;
}
