// The run as the page holds it, and what can be asked of it.

const run = JSON.parse(document.getElementById("run").textContent);
const { names, texts, messages, drops, dots, views, LIVES, BELIEFS } = run;
const END = Math.max(run.ended, 1e-6); // a run in which no time passed still has a width
const WORLD = -1;

/** Index of the first element that is not below `value`; `column` is sorted. */
function firstFrom(column, value) {
  let low = 0;
  let high = column.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (column[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

// --- a node's own state ----------------------------------------------------------------

const lives = names.map(() => []);
for (const [lane, from, to, state] of run.lives) lives[lane].push({ from, to, state: LIVES[state] });

/** "up", "paused", "crashed", "left", or "" before it began. */
function lifeAt(lane, moment) {
  let state = "";
  for (const life of lives[lane]) if (life.from <= moment) state = life.state;
  return state;
}

const isThere = (life) => life === "up" || life === "paused";

// --- who believes what of whom ---------------------------------------------------------

const UNKNOWN = 0;
const [ALIVE, SUSPECT, DEAD, LEFT] = ["alive", "suspect", "dead", "left"].map((each) => BELIEFS.indexOf(each));
const SIZE = names.length;
const SNAPSHOT_EVERY = Math.max(1000, (SIZE * SIZE) / 4); // so that all of them stay smaller than the run
const snapshots = [new Uint8Array(SIZE * SIZE)];

function believe(beliefs, index) {
  const who = views.who[index];
  if (views.whom[index] === WORLD) beliefs.fill(UNKNOWN, who * SIZE, (who + 1) * SIZE); // it ended
  else beliefs[who * SIZE + views.whom[index]] = views.belief[index];
}

for (let index = 0, now = snapshots[0].slice(); index < views.at.length; index++) {
  if (index && index % SNAPSHOT_EVERY === 0) snapshots.push(now.slice());
  believe(now, index);
}

/** What everybody believes at a moment: row `who`, column `whom`, in one array. */
function beliefsAt(moment) {
  const end = firstFrom(views.at, moment + 1e-9); // what happens at the moment is believed
  const nearest = Math.min(Math.floor(end / SNAPSHOT_EVERY), snapshots.length - 1);
  const beliefs = snapshots[nearest].slice();
  for (let index = nearest * SNAPSHOT_EVERY; index < end; index++) believe(beliefs, index);
  return beliefs;
}

/** The change that made `who` believe what it does of `whom`: {at, reason}, or null. */
function sinceWhen(who, whom, moment) {
  for (let index = firstFrom(views.at, moment + 1e-9) - 1; index >= 0; index--) {
    if (views.who[index] !== who) continue;
    if (views.whom[index] === WORLD) return null;
    if (views.whom[index] === whom) return { at: views.at[index], reason: texts[views.reason[index]] };
  }
  return null;
}

/** Whether a belief agrees with how the member really is; who knows nothing is not wrong. */
function isRight(belief, life) {
  if (belief === UNKNOWN) return true;
  return isThere(life) ? belief === ALIVE : belief === DEAD || belief === LEFT;
}

// --- how many doubt each member, as steps over time -------------------------------------

const doubts = names.map(() => ({ at: [], known: [], suspect: [], dead: [] }));
{
  const beliefs = new Uint8Array(SIZE * SIZE);
  const known = new Int32Array(SIZE);
  const suspect = new Int32Array(SIZE);
  const dead = new Int32Array(SIZE);
  const count = (whom, belief, by) => {
    if (belief === ALIVE || belief === SUSPECT || belief === DEAD) known[whom] += by;
    if (belief === SUSPECT) suspect[whom] += by;
    if (belief === DEAD) dead[whom] += by;
  };
  const change = (at, who, whom, belief) => {
    if (who === whom) return;
    count(whom, beliefs[who * SIZE + whom], -1);
    count(whom, belief, 1);
    beliefs[who * SIZE + whom] = belief;
    const steps = doubts[whom];
    if (steps.at[steps.at.length - 1] !== at) steps.at.push(at);
    const last = steps.at.length - 1;
    steps.known[last] = known[whom];
    steps.suspect[last] = suspect[whom];
    steps.dead[last] = dead[whom];
  };
  for (let index = 0; index < views.at.length; index++) {
    const who = views.who[index];
    if (views.whom[index] !== WORLD) change(views.at[index], who, views.whom[index], views.belief[index]);
    else for (let whom = 0; whom < SIZE; whom++) if (beliefs[who * SIZE + whom]) change(views.at[index], who, whom, UNKNOWN);
  }
}

// --- faults, in as few rows as they fit --------------------------------------------------

const faults = run.faults.map(([from, to, lane, name, text]) => ({ from, to: to ?? END, open: to === null, lane, name, text, row: 0 }));
const rowEnds = [];
for (const fault of faults) {
  const free = rowEnds.findIndex((end) => end <= fault.from);
  fault.row = free < 0 ? rowEnds.length : free;
  rowEnds[fault.row] = fault.to;
}

// --- messages that fly long: a search by the moment of sending would miss them --------------

const LONG = 1; // seconds
const endOf = (column, index) => (column.ended[index] < 0 ? column.sent[index] : column.ended[index]);
const longOf = (column) => {
  const long = [];
  for (let index = 0; index < column.sent.length; index++) if (endOf(column, index) - column.sent[index] > LONG) long.push(index);
  return long;
};
const longMessages = longOf(messages);
const longDrops = longOf(drops);

// --- moments worth stopping at --------------------------------------------------------------

const changes = Float64Array.from([
  ...Array.from(new Set(views.at)),
  ...run.violations.map(([at]) => at),
  ...faults.flatMap(({ from, to }) => [from, to]),
  ...lives.flat().map(({ from }) => from),
]).sort();

const seconds = (moment, digits = 3) => `${moment.toFixed(digits)} s`;
