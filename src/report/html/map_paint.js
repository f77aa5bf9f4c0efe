/* What the selection shows: a class for each page, and for all workers how many agree */
let workers = [];
let classes = new Uint8Array(pages), broken = new Uint8Array(pages), dim = new Uint8Array(pages), votes = new Uint8Array(pages);
let counts = [], others = 0;
let selected = 0, step = Number($('map-step').value);
const last = Math.max(0, index.steps.length - 1);
/* What the colours stand for: number 0 is always the pages still shared */
const colouring = kinds => ({ kinds, shown: kinds.map(() => true), seen: kinds.map((_, kind) => kind === 0) });
const byState = colouring(STATES);
let byCause = null, colours = byState;
const severity = [0, 3, 5, 4, 2, 1];
/* State and content of each page of a worker after the chosen step */
const NEVER = 255;
const codesNow = worker => {
  const { cells, steps, earlier, now } = worker, at = Math.min(step, NEVER - 1);
  for (let page = 0; page < pages; page++) now[page] = steps[page] <= at ? cells[page] : 0;
  for (let i = earlier.until.length - 1; i >= 0; i--) {
    const page = earlier.pages[i];
    if (at <= earlier.until[i] && steps[page] <= at) now[page] = earlier.codes[i];
  }
};
const classAt = (worker, page) => classOf[worker.now[page] & 31];
const kindIn = {
  state: (worker, page, cls) => cls,
  cause: (worker, page, cls) => cls === 0 ? 0 : cls === 5 ? byCause.kinds.length - 1 : (worker.breaks.causes[page] || byCause.kinds.length - 2),
};
/* Of what several workers show in one page: the gravest state, or the cause of most (a majority vote) */
const settle = {
  state: (page, kind) => { if (severity[kind] > severity[classes[page]]) classes[page] = kind; },
  cause: (page, kind) => {
    if (votes[page] === 0) { classes[page] = kind; votes[page] = 1; } else if (classes[page] !== kind) votes[page]--; else if (votes[page] < 255) votes[page]++;
  },
};
function select() {
  const name = colours === byState ? 'state' : 'cause', kindOf = kindIn[name], decide = settle[name];
  counts = colours.kinds.map(() => 0);
  others = 0;
  const members = selected < 0 ? workers : [workers[selected]];
  for (const each of [classes, broken, dim, votes]) each.fill(0);
  for (const worker of members) {
    codesNow(worker);
    const now = worker.now, hit = finding && hasBreaks(worker) ? worker.breaks.hit : null;
    for (let page = 0; page < pages; page++) {
      const kind = kindOf(worker, page, classOf[now[page] & 31]);
      if (kind === 0) { counts[0]++; continue; }
      if (hit && !hit[page]) { others++; dim[page] = 1; continue; }
      counts[kind]++;
      if (broken[page] < 255) broken[page]++;
      decide(page, kind);
    }
  }
}

/* Painting: one pixel a page into an image, then the image scaled */
const image = document.createElement('canvas');
function paintImage() {
  image.width = columns;
  image.height = rows;
  const painter = image.getContext('2d');
  const data = painter.createImageData(columns, rows);
  const pixels = new Uint32Array(data.data.buffer);
  const base = rgb(colour('shared')), faint = packed(rgb(colour('grid'))), muted = rgb(colour('muted'));
  const dimmed = packed(base.map((channel, i) => Math.round(channel + (muted[i] - channel) * .3)));
  const members = selected < 0 ? workers.length : 1;
  const table = colours.kinds.map((kind, cls) => {
    const full = rgb(colour(kind.css));
    return Array.from({ length: members + 1 }, (_, count) => {
      if (!colours.shown[cls]) return faint;
      const share = cls === 0 ? 0 : .4 + .6 * count / members;
      return packed(full.map((channel, i) => Math.round(base[i] + (channel - base[i]) * share)));
    });
  });
  for (let page = 0; page < pages; page++) pixels[placeOf[page]] = dim[page] && classes[page] === 0 ? dimmed : table[classes[page]][Math.min(broken[page], members)];
  painter.putImageData(data, 0, 0);
}
let scale = 1, left = 0, top = 0, fitScale = 1, cursor = -1, hovered = -1;
function fit() {
  const width = canvas.clientWidth - gutter();
  const tallest = Math.min(640, Math.max(360, innerHeight * .72));
  fitScale = Math.min(width / columns, tallest / rows, 26);
  canvas.style.height = Math.max(90, Math.ceil(rows * fitScale) + 16) + 'px';
  scale = fitScale;
  left = 0;
  top = -8 / scale;
}
function clamp() {
  const width = (canvas.clientWidth - gutter()) / scale, height = canvas.clientHeight / scale;
  const slack = 8 / scale;
  left = columns <= width ? 0 : Math.min(Math.max(left, 0), columns - width + slack);
  top = rows + 2 * slack <= height ? -(height - rows) / 2 : Math.min(Math.max(top, -slack), rows - height + slack);
  canvas.style.touchAction = scale > fitScale * 1.01 ? 'none' : 'pan-y';
}
let queued = false;
const draw = () => { if (!queued) { queued = true; requestAnimationFrame(drawNow); } };
function drawNow() {
  queued = false;
  clamp();
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight, edge = gutter();
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.save();
  context.beginPath();
  context.rect(edge, 0, width - edge, height);
  context.clip();
  context.imageSmoothingEnabled = scale * ratio < 1;
  context.imageSmoothingQuality = 'high';
  context.drawImage(image, edge - left * scale, -top * scale, columns * scale, rows * scale);
  if (scale >= 5) drawLines(edge, width, height);
  for (const [page, style] of [[hovered, colour('muted')], [cursor, colour('ink')]]) {
    if (page < 0) continue;
    const place = placeOf[page], x = edge + (place % columns - left) * scale, y = (Math.floor(place / columns) - top) * scale;
    context.lineWidth = 2;
    context.strokeStyle = style;
    context.strokeRect(x - 1, y - 1, Math.max(scale, 4) + 2, Math.max(scale, 4) + 2);
  }
  context.restore();
  drawLabels(edge, height);
}
function drawLines(edge, width, height) {
  context.strokeStyle = colour('paper') || '#fff';
  context.lineWidth = Math.min(1.5, scale / 9);
  context.beginPath();
  for (let column = Math.max(0, Math.ceil(left)); column <= columns; column++) {
    const x = edge + (column - left) * scale;
    if (x > width) break;
    context.moveTo(x, 0);
    context.lineTo(x, height);
  }
  for (let row = Math.max(0, Math.ceil(top)); row <= rows; row++) {
    const y = (row - top) * scale;
    if (y > height) break;
    context.moveTo(edge, y);
    context.lineTo(width, y);
  }
  context.stroke();
}
function drawLabels(edge, height) {
  const size = onPhone() ? 10 : 12.5, line = size * 1.3, room = edge - 16;
  const family = getComputedStyle(document.body).fontFamily;
  context.textAlign = 'right';
  context.textBaseline = 'middle';
  let free = -1;
  for (const band of bands) {
    const from = (band.top - top) * scale, to = from + band.height * scale;
    if (to < 0 || from > height) continue;
    const low = Math.max(from, 0), high = Math.min(to, height), middle = (low + high) / 2;
    context.fillStyle = colour('grid');
    context.fillRect(edge - 5, low, 2, Math.max(1.5, high - low));
    context.font = labelFont();
    let names = inLines(band.name, room);
    const fits = count => Math.max(middle, count * line / 2) - count * line / 2 + size * .1 >= free;
    if (names.length > 1 && !fits(names.length)) names = [clipped(context, band.name, room)];
    if (!fits(names.length)) continue;
    const sized = high - low > (names.length + 1) * line;
    const count = names.length + sized, first = Math.max(middle, count * line / 2) - (count - 1) * line / 2;
    context.fillStyle = colour('ink');
    names.forEach((name, at) => context.fillText(name, edge - 11, first + at * line));
    if (sized) {
      context.font = (size - 1) + 'px ' + family;
      context.fillStyle = colour('muted');
      context.fillText(bytes(band.count * index.page_size), edge - 11, first + names.length * line);
    }
    free = first + (count - .5) * line;
  }
}
/* A name too wide for one line, divided before its last word */
function inLines(name, width) {
  const space = name.lastIndexOf(' ');
  if (space < 0 || context.measureText(name).width <= width) return [clipped(context, name, width)];
  return [name.slice(0, space), name.slice(space + 1)].map(part => clipped(context, part, width));
}
