// On the lanes: messages, lost ones, dots; over them: faults and broken promises.

/** Indices of messages with a part between two moments, thinned to at most `most` + the long ones. */
function flying(column, long, most) {
  const begin = firstFrom(column.sent, shown.from - LONG);
  const end = firstFrom(column.sent, shown.to);
  const every = Math.max(1, Math.ceil((end - begin) / most));
  const found = [];
  for (let index = begin + ((every - (begin % every)) % every); index < end; index += every) {
    if (endOf(column, index) >= shown.from && isWanted(column, index)) found.push(index);
  }
  for (const index of long) {
    if (column.sent[index] < shown.from - LONG && endOf(column, index) >= shown.from && isWanted(column, index)) found.push(index);
  }
  return { found, every };
}

function isWanted(column, index) {
  const [from, to] = [column.from[index], column.to[index]];
  if (shown.only !== null && from !== shown.only && to !== shown.only) return false;
  if (shown.hidden.has(`message ${column.what[index]}`)) return false;
  return from >= 0 && to >= 0 && rowOf[from] >= 0 && rowOf[to] >= 0;
}

function drawMessages(context) {
  const { found, every } = flying(messages, longMessages, MOST_LINES);
  context.lineWidth = 1;
  context.globalAlpha = found.length > 2500 ? 0.22 : found.length > 500 ? 0.45 : 0.8;
  for (const what of whats) {
    context.strokeStyle = context.fillStyle = messageColour(what);
    context.beginPath();
    for (const index of found) if (messages.what[index] === what) arrow(context, index, found.length < 600);
    context.stroke();
  }
  context.globalAlpha = 1;
  return every;
}

function arrow(context, index, withHead) {
  const [x, y] = [xOf(messages.sent[index]), yOf(messages.from[index])];
  const [x2, y2] = [xOf(endOf(messages, index)), yOf(messages.to[index])];
  const text = () => flightText(messages, index);
  if (messages.ended[index] < 0) {
    const way = Math.sign(y2 - y) * Math.min(stage.lane * 0.4, 12);
    context.moveTo(x, y);
    context.lineTo(x + 3, y + way);
    touched.push({ x, y, x2: x + 3, y2: y + way, text });
    return;
  }
  context.moveTo(x, y);
  context.lineTo(x2, y2);
  touched.push({ x, y, x2, y2, text });
  const length = Math.hypot(x2 - x, y2 - y);
  if (!withHead || length < 12) return;
  const [dx, dy] = [(x2 - x) / length, (y2 - y) / length];
  for (const side of [-1, 1]) {
    context.moveTo(x2, y2);
    context.lineTo(x2 - 6 * dx - 3 * side * dy, y2 - 6 * dy + 3 * side * dx);
  }
}

/** A lost message: the first part of its way, ending in a cross where there is room for one. */
function drawDrops(context) {
  if (shown.hidden.has("drop")) return;
  const { found } = flying(drops, longDrops, MOST_MARKS);
  context.strokeStyle = colour.drop;
  context.lineWidth = 1.2;
  context.globalAlpha = found.length > 1500 ? 0.35 : 0.9;
  context.beginPath();
  const size = stage.lane < 20 ? 2 : 3;
  const crowded = stage.lane < 10 || found.length * 8 > (stage.width - GUTTER) * Math.max(1, shown.lanes.length - 1);
  for (const index of found) {
    const [x, y] = [xOf(drops.sent[index]), yOf(drops.from[index])];
    const way = Math.sign(yOf(drops.to[index]) - y) || 1;
    const x2 = x + Math.min(6, xOf(endOf(drops, index)) - x);
    const y2 = y + way * Math.min(stage.lane * 0.42, 16);
    context.moveTo(x, y);
    context.lineTo(x2, y2);
    if (!crowded) {
      context.moveTo(x2 - size, y2 - size);
      context.lineTo(x2 + size, y2 + size);
      context.moveTo(x2 - size, y2 + size);
      context.lineTo(x2 + size, y2 - size);
    }
    touched.push({ x, y, x2, y2, text: () => flightText(drops, index) });
  }
  context.stroke();
  context.globalAlpha = 1;
}

function flightText(column, index) {
  const [sent, ended, why] = [column.sent[index], column.ended[index], texts[column.why[index]]];
  const way = `${names[column.from[index]]} → ${names[column.to[index]]}`;
  const what = `${texts[column.what[index]]}, ${column.size[index]} bytes, id ${column.id[index]}`;
  const sentAt = `sent at ${seconds(sent, 6)}`;
  if (why) return `${way}\n${what}\n${sentAt}, lost: ${why}`;
  if (ended < 0) return `${way}\n${what}\n${sentAt}, never read`;
  return `${way}\n${what}\n${sentAt}, read ${((ended - sent) * 1000).toFixed(3)} ms later`;
}

function drawDots(context) {
  const end = firstFrom(dots.at, shown.to + 1e-9);
  const found = new Map(); // by kind, so that many timers never crowd out the one decision
  for (let index = firstFrom(dots.at, shown.from); index < end; index++) {
    const lane = dots.lane[index];
    const kind = texts[dots.kind[index]];
    if (shown.hidden.has(keyOf(kind)) || (lane >= 0 && rowOf[lane] < 0)) continue;
    if (!found.has(kind)) found.set(kind, []);
    found.get(kind).push(index);
  }
  let most = 1;
  for (const [kind, indices] of found) {
    const every = Math.ceil(indices.length / MOST_MARKS);
    most = Math.max(most, every);
    for (let place = 0; place < indices.length; place += every) drawDot(context, kind, indices[place]);
  }
  return most;
}

function drawDot(context, kind, index) {
  const lane = dots.lane[index];
  const [x, y] = [xOf(dots.at[index]), lane < 0 ? stage.head + 6 : yOf(lane)];
  mark(context, kind, x, y);
  touched.push({ x, y, x2: x, y2: y, text: () => dotText(index) });
}

function dotText(index) {
  const where = dots.lane[index] < 0 ? "the world" : names[dots.lane[index]];
  return `${where}: ${texts[dots.kind[index]]} at ${seconds(dots.at[index], 6)}\n${texts[dots.text[index]]}`;
}

// --- faults and violations --------------------------------------------------------------------

function drawFaultShades(context) {
  if (shown.hidden.has("fault")) return;
  context.fillStyle = colour.fault;
  for (const { from, to, lane } of faults) {
    if (to < shown.from || from > shown.to || (lane >= 0 && rowOf[lane] < 0)) continue;
    const x = Math.max(GUTTER, xOf(from));
    const width = Math.max(1, Math.min(stage.width, xOf(to)) - x);
    context.globalAlpha = 0.09;
    if (lane < 0) context.fillRect(x, stage.head, width, stage.height);
    else context.fillRect(x, yOf(lane) - stage.lane / 2, width, stage.lane);
  }
  context.globalAlpha = 1;
}

function drawFaultBars(context) {
  if (shown.hidden.has("fault")) return;
  context.font = font(11, 500);
  context.textBaseline = "middle";
  for (const fault of faults) {
    if (fault.to < shown.from || fault.from > shown.to || fault.row >= MOST_FAULT_ROWS) continue;
    const x = Math.max(GUTTER, xOf(fault.from));
    const width = Math.max(3, Math.min(stage.width, xOf(fault.to)) - x);
    const y = AXIS + fault.row * FAULT_ROW;
    context.globalAlpha = 0.28;
    context.fillStyle = colour.fault;
    context.beginPath();
    context.roundRect(x, y + 1, width, FAULT_ROW - 3, 3);
    context.fill();
    context.globalAlpha = 1;
    context.fillRect(x, y + 1, 2.5, FAULT_ROW - 3);
    context.fillStyle = colour.ink;
    if (width > 26) context.fillText(fitted(context, fault.text, width - 12), x + 7, y + FAULT_ROW / 2);
    touched.push({ x, y: y + 9, x2: x + width, y2: y + 9, reach: 8, text: () => faultText(fault) });
  }
}

function faultText({ name, text, from, to, open, lane }) {
  const until = open ? "to the end" : `to ${seconds(to)}`;
  return `${name}${lane < 0 ? "" : ` at ${names[lane]}`}, from ${seconds(from)} ${until}\n${text}`;
}

function drawViolations(context) {
  for (const [at, lanes, text] of run.violations) {
    const x = xOf(at);
    if (x < GUTTER - 1 || x > stage.width + 1) continue;
    context.fillStyle = context.strokeStyle = colour.violation;
    context.fillRect(x - 1, AXIS - 4, 2, stage.height);
    context.lineWidth = 2.5;
    for (const lane of lanes) {
      if (rowOf[lane] < 0 || yOf(lane) < stage.head) continue;
      context.beginPath();
      context.arc(x, yOf(lane), Math.min(9, stage.lane / 2), 0, 7);
      context.stroke();
    }
    context.font = font(12, 700);
    const label = fitted(context, `✕ ${text}`, 320);
    const wide = context.measureText(label).width + 12;
    const left = Math.max(GUTTER, Math.min(x - wide / 2, stage.width - wide - 4));
    context.beginPath();
    context.roundRect(left, 3, wide, AXIS - 8, 4);
    context.fill();
    context.fillStyle = colour.panel;
    context.textBaseline = "middle";
    context.fillText(label, left + 6, AXIS / 2 - 0.5);
    touched.push({ x: left, y: AXIS / 2, x2: left + wide, y2: AXIS / 2, reach: 10, text: () => `${seconds(at, 6)}\n${text}` });
  }
}
