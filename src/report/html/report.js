'use strict';
(() => {
const $ = id => document.getElementById(id);
const group = n => n.toLocaleString('en-US');
const root = document.documentElement;
const bytes = n => {
  for (const [unit, size] of [['GiB', 2 ** 30], ['MiB', 2 ** 20], ['KiB', 1024]]) if (n >= size) return (n / size).toFixed(1) + ' ' + unit;
  return n + ' B';
};

/* Theme and command */
const themes = ['', 'light', 'dark'];
const themeNames = ['follow the system', 'light', 'dark'];
let theme = 0;
const repaint = [];
const setTheme = index => {
  theme = index;
  if (themes[theme]) root.dataset.theme = themes[theme]; else delete root.dataset.theme;
  $('theme').setAttribute('aria-label', 'Colour theme: ' + themeNames[theme]);
  $('theme').title = 'Theme: ' + themeNames[theme];
  repaint.forEach(paint => paint());
};
$('theme').onclick = () => setTheme((theme + 1) % 3);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => repaint.forEach(paint => paint()));
if ($('copy') && navigator.clipboard) {
  $('copy').hidden = false;
  $('copy').onclick = () => navigator.clipboard.writeText($('command').textContent).then(() => {
    $('copy').textContent = 'Copied';
    setTimeout(() => { $('copy').textContent = 'Copy'; }, 1500);
  });
}
let before = [];
let beforeTheme = 0;
addEventListener('beforeprint', () => {
  before = [...document.querySelectorAll('details:not([open])')].filter(d => d.querySelectorAll('tr').length <= 40);
  before.forEach(d => { d.open = true; });
  beforeTheme = theme;
  setTheme(1);
});
addEventListener('afterprint', () => { before.forEach(d => { d.open = false; }); setTheme(beforeTheme); });

if (!$('map')) return;

/* Data: see html/map.rs for the format */
const index = JSON.parse($('map-index').textContent);
const STATES = [
  { css: 'shared', name: 'shared' },
  { css: 'ghost', name: 'identical copy (ghost)' },
  { css: 'differs', name: 'copy with new data' },
  { css: 'uncompared', name: 'copy, not compared' },
  { css: 'zygote', name: 'written by the zygote' },
  { css: 'gone', name: 'unmapped' },
];
const classOf = new Uint8Array(32);
for (let code = 0; code < 32; code++) {
  const state = code & 7, content = code >> 3;
  classOf[code] = state === 0 ? 0 : state === 2 ? 4 : state === 4 ? 5 : content === 1 ? 1 : content === 2 ? 2 : 3;
}
async function inflate(id) {
  const text = atob($(id).textContent);
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/* Pages: number -> run, region, address */
const runs = [];
let pages = 0;
for (let i = 0, end = 0; i < index.runs.length; i += 3) {
  const first = end + index.runs[i], length = index.runs[i + 1];
  runs.push({ first, length, region: index.runs[i + 2], start: pages });
  end = first + length;
  pages += length;
}
const runOf = page => {
  let low = 0, high = runs.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (runs[middle].start <= page) low = middle; else high = middle - 1;
  }
  return runs[low];
};

/* Layout: regions as bands of rows in a grid `columns` cells wide */
const canvas = $('map');
const context = canvas.getContext('2d');
const gutter = () => canvas.clientWidth < 560 ? 84 : 158;
let columns = 0, rows = 0, bands = [], pageAt, placeOf;
function layOut() {
  const aspect = (canvas.clientWidth - gutter()) / (canvas.clientWidth < 560 ? 420 : 520);
  const wanted = Math.sqrt(pages * Math.max(.6, aspect));
  columns = Math.min(4096, Math.max(24, Math.ceil(wanted / 8) * 8));
  const byRegion = new Map();
  for (const run of runs) {
    if (!byRegion.has(run.region)) byRegion.set(run.region, []);
    byRegion.get(run.region).push(run);
  }
  const size = list => list.reduce((sum, run) => sum + run.length, 0);
  const small = [], large = [];
  for (const [region, list] of byRegion) (size(list) < columns * .75 ? small : large).push([index.regions[region], list]);
  bands = large.map(([name, list]) => ({ name, list, count: size(list) }));
  if (small.length === 1) bands.push({ name: small[0][0], list: small[0][1], count: size(small[0][1]) });
  else if (small.length) bands.push({ name: small.length + ' small regions', list: small.flatMap(s => s[1]), count: small.reduce((sum, s) => sum + size(s[1]), 0) });
  const filled = bands.reduce((sum, band) => sum + Math.ceil(band.count / columns), 0);
  const gap = Math.max(1, Math.round(filled / 70));
  rows = 0;
  for (const band of bands) {
    band.top = rows;
    band.height = Math.ceil(band.count / columns);
    rows += band.height + gap;
  }
  rows -= gap;
  pageAt = new Int32Array(columns * rows).fill(-1);
  placeOf = new Int32Array(pages);
  for (const band of bands) {
    let place = band.top * columns;
    for (const run of band.list) {
      for (let page = run.start; page < run.start + run.length; page++) { pageAt[place] = page; placeOf[page] = place++; }
    }
  }
}

/* What the selection shows: a class for each page, and for all workers how many agree */
let workers = [];
let classes = new Uint8Array(pages), broken = new Uint8Array(pages), counts = [];
let selected = 0, step = index.steps.length - 1;
const shown = STATES.map(() => true);
const last = Math.max(0, index.steps.length - 1);
const severity = [0, 3, 5, 4, 2, 1];
const classAt = (worker, page) => {
  const cls = classOf[worker.cells[page] & 31];
  return cls !== 0 && Math.min(worker.steps[page], last) <= step ? cls : 0;
};
function select() {
  counts = [0, 0, 0, 0, 0, 0];
  const members = selected < 0 ? workers : [workers[selected]];
  classes.fill(0);
  broken.fill(0);
  for (const { cells, steps } of members) {
    for (let page = 0; page < pages; page++) {
      let cls = classOf[cells[page] & 31];
      if (cls !== 0) {
        const at = steps[page];
        if ((at > last ? last : at) > step) cls = 0;
      }
      counts[cls]++;
      if (cls !== 0) {
        if (broken[page] < 255) broken[page]++;
        if (severity[cls] > severity[classes[page]]) classes[page] = cls;
      }
    }
  }
}

/* Painting: one pixel a page into an image, then the image scaled */
const image = document.createElement('canvas');
const colour = name => getComputedStyle(root).getPropertyValue('--' + name).trim();
const rgb = hex => [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16));
const packed = ([r, g, b]) => (255 << 24 | b << 16 | g << 8 | r) >>> 0;
function paintImage() {
  image.width = columns;
  image.height = rows;
  const painter = image.getContext('2d');
  const data = painter.createImageData(columns, rows);
  const pixels = new Uint32Array(data.data.buffer);
  const base = rgb(colour('shared')), faint = packed(rgb(colour('grid')));
  const members = selected < 0 ? workers.length : 1;
  const table = STATES.map((state, cls) => {
    const full = rgb(colour(state.css));
    return Array.from({ length: members + 1 }, (_, count) => {
      if (!shown[cls]) return faint;
      const share = cls === 0 ? 0 : .4 + .6 * count / members;
      return packed(full.map((channel, i) => Math.round(base[i] + (channel - base[i]) * share)));
    });
  });
  for (let page = 0; page < pages; page++) pixels[placeOf[page]] = table[classes[page]][Math.min(broken[page], members)];
  painter.putImageData(data, 0, 0);
}
let scale = 1, left = 0, top = 0, fitScale = 1, cursor = -1, hovered = -1;
function fit() {
  const width = canvas.clientWidth - gutter();
  const tallest = Math.min(640, Math.max(260, innerHeight * .72));
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
  const phone = edge < 100, size = phone ? 10 : 12.5;
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
    const two = high - low > size * 2.8;
    const y = Math.max(middle, size * .7);
    if (y - size * .6 < free) continue;
    context.font = '500 ' + size + 'px ' + family;
    context.fillStyle = colour('ink');
    context.fillText(clipped(band.name, edge - 16), edge - 11, two ? y - size * .6 : y);
    free = y + size * .6;
    if (two) {
      context.font = (size - 1) + 'px ' + family;
      context.fillStyle = colour('muted');
      context.fillText(bytes(band.count * index.page_size), edge - 11, y + size * .7);
      free += size * .8;
    }
  }
}
function clipped(text, width) {
  if (context.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 1 && context.measureText(text.slice(0, end) + '…').width > width) end--;
  return text.slice(0, end) + '…';
}

/* Words: status, legend, one cell */
const stepName = at => index.steps[at] === undefined ? 'the fork' : index.steps[at];
const who = () => selected < 0 ? 'All ' + workers.length + ' workers' : 'Worker ' + workers[selected].worker;
function tell() {
  const parts = STATES.map((state, cls) => [counts[cls], state.name]).filter(([count], cls) => count > 0 || cls === 0);
  const total = counts.reduce((sum, count) => sum + count, 0);
  $('map-status').textContent = who() + ' after “' + stepName(step) + '”: ' + group(total) + ' inherited pages: ' + parts.map(([count, name]) => group(count) + ' ' + name).join(', ') + '.';
  $('map-status').dataset.ready = 'true';
  $('map-step-name').textContent = stepName(step);
  $('map-step').setAttribute('aria-valuetext', stepName(step));
  STATES.forEach((state, cls) => {
    const button = $('map-legend').children[cls];
    button.hidden = !everSeen[cls];
    button.setAttribute('aria-pressed', shown[cls]);
    button.querySelector('b').textContent = group(counts[cls]);
    button.querySelector('span').textContent = bytes(counts[cls] * index.page_size);
  });
}
const everSeen = STATES.map((_, cls) => cls === 0);
const hex = address => '0x' + (BigInt(address) * BigInt(index.page_size)).toString(16);
function words(page) {
  const run = runOf(page), address = hex(run.first + page - run.start);
  const lines = [index.regions[run.region] + '  ' + address];
  if (selected < 0) {
    const tally = new Map();
    for (const worker of workers) { const cls = classAt(worker, page); tally.set(cls, (tally.get(cls) || 0) + 1); }
    lines.push([...tally].map(([cls, count]) => count + ' of ' + workers.length + ' workers: ' + STATES[cls].name).join('; '));
    return lines;
  }
  const worker = workers[selected], code = worker.cells[page], cls = classAt(worker, page), state = code & 7;
  lines.push(STATES[cls].name);
  if (cls === 0) return lines;
  const writer = ['', 'written by the worker', 'written by the zygote', 'written by worker and zygote', 'no longer mapped'][state];
  lines.push(writer + (worker.steps[page] <= last ? ', first seen after “' + stepName(worker.steps[page]) + '”' : ''));
  if (code >> 3 === 2) {
    const changed = worker.changed[differing(worker, page)];
    if (changed !== undefined) lines.push((changed < 128 ? changed : 'about ' + group((changed - 128) * 32)) + (changed === 1 ? ' byte differs' : ' bytes differ') + ' of ' + group(index.page_size));
  } else if (cls === 1) lines.push('every byte is as it was at the fork');
  return lines;
}
/* Rank of a differing page among those of its worker, from counts every 4096 pages */
function differing(worker, page) {
  if (!worker.ranks) {
    worker.ranks = [];
    for (let at = 0, sum = 0; at < pages; at++) { if (at % 4096 === 0) worker.ranks.push(sum); if (worker.cells[at] >> 3 === 2) sum++; }
  }
  let rank = worker.ranks[page >> 12];
  for (let at = page & ~4095; at < page; at++) if (worker.cells[at] >> 3 === 2) rank++;
  return rank;
}

/* Pointer, keyboard and controls */
const tip = $('map-tip');
function pageUnder(x, y) {
  if (x < gutter()) return -1;
  const column = Math.floor((x - gutter()) / scale + left), row = Math.floor(y / scale + top);
  return column < 0 || row < 0 || column >= columns || row >= rows ? -1 : pageAt[row * columns + column];
}
function hover(page, x, y) {
  if (page !== hovered) { hovered = page; draw(); }
  tip.hidden = page < 0;
  if (page < 0) return;
  tip.textContent = words(page).join('\n');
  const width = tip.offsetWidth, height = tip.offsetHeight;
  tip.style.transform = 'translate(' + Math.max(4, Math.min(x + 14, canvas.clientWidth - width - 4)) + 'px,' + (y + 18 + height > canvas.clientHeight ? Math.max(2, y - height - 10) : y + 18) + 'px)';
}
function moveCursor(page) {
  cursor = Math.max(0, Math.min(pages - 1, page));
  const place = placeOf[cursor], column = place % columns, row = Math.floor(place / columns);
  const width = (canvas.clientWidth - gutter()) / scale, height = canvas.clientHeight / scale;
  if (column < left) left = column; else if (column + 1 > left + width) left = column + 1 - width;
  if (row < top) top = row; else if (row + 1 > top + height) top = row + 1 - height;
  $('map-cell').textContent = words(cursor).join(' · ');
  draw();
}
function zoom(factor, x = gutter() + (canvas.clientWidth - gutter()) / 2, y = canvas.clientHeight / 2) {
  const next = Math.min(Math.max(scale * factor, fitScale), Math.max(32, fitScale));
  const atX = (x - gutter()) / scale + left, atY = y / scale + top;
  scale = next;
  left = atX - (x - gutter()) / scale;
  top = atY - y / scale;
  draw();
}
const beside = (page, rowsDown) => {
  let place = placeOf[page];
  for (let tries = 0; tries < rows; tries++) {
    place += rowsDown * columns;
    if (place < 0 || place >= pageAt.length) return page;
    if (pageAt[place] >= 0) return pageAt[place];
  }
  return page;
};
const inOrder = (page, way) => {
  for (let place = placeOf[page] + way; place >= 0 && place < pageAt.length; place += way) if (pageAt[place] >= 0) return pageAt[place];
  return page;
};
const nextBroken = way => {
  const from = cursor < 0 ? (way > 0 ? -1 : pageAt.length) : placeOf[cursor];
  for (let place = from + way; place >= 0 && place < pageAt.length; place += way) {
    const page = pageAt[place];
    if (page >= 0 && classes[page] !== 0 && shown[classes[page]]) return page;
  }
  return cursor < 0 ? 0 : cursor;
};
const keys = {
  ArrowRight: () => moveCursor(cursor < 0 ? pageAt[0] : inOrder(cursor, 1)), ArrowLeft: () => moveCursor(cursor < 0 ? pageAt[0] : inOrder(cursor, -1)),
  ArrowDown: () => moveCursor(cursor < 0 ? pageAt[0] : beside(cursor, 1)), ArrowUp: () => moveCursor(cursor < 0 ? pageAt[0] : beside(cursor, -1)),
  n: () => moveCursor(nextBroken(1)), p: () => moveCursor(nextBroken(-1)),
  Home: () => moveCursor(pageAt[0]), '+': () => zoom(1.6), '=': () => zoom(1.6), '-': () => zoom(1 / 1.6), '0': () => { fit(); draw(); },
};
canvas.addEventListener('keydown', event => {
  const act = keys[event.key];
  if (act && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); act(); }
});
const touches = new Map();
let moved = false;
canvas.addEventListener('pointerdown', event => {
  touches.set(event.pointerId, [event.offsetX, event.offsetY]);
  moved = false;
  if (event.pointerType === 'mouse' || scale > fitScale * 1.01) canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener('pointermove', event => {
  const before = touches.get(event.pointerId), x = event.offsetX, y = event.offsetY;
  if (!before) { hover(pageUnder(x, y), x, y); return; }
  if (touches.size === 2) {
    const other = [...touches].find(([id]) => id !== event.pointerId)[1];
    zoom(Math.hypot(x - other[0], y - other[1]) / Math.max(1, Math.hypot(before[0] - other[0], before[1] - other[1])), (x + other[0]) / 2, (y + other[1]) / 2);
  } else if (Math.hypot(x - before[0], y - before[1]) > 2 || moved) {
    left -= (x - before[0]) / scale;
    top -= (y - before[1]) / scale;
    hover(-1);
    draw();
  } else return;
  moved = true;
  touches.set(event.pointerId, [x, y]);
});
const release = event => {
  touches.delete(event.pointerId);
  if (event.type === 'pointerup' && !moved) {
    const page = pageUnder(event.offsetX, event.offsetY);
    if (page >= 0) { moveCursor(page); hover(page, event.offsetX, event.offsetY); }
  }
};
canvas.addEventListener('pointerup', release);
canvas.addEventListener('pointercancel', release);
canvas.addEventListener('pointerleave', () => hover(-1));
canvas.addEventListener('wheel', event => {
  if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * .0022), event.offsetX, event.offsetY);
}, { passive: false });
const refresh = () => { select(); paintImage(); tell(); draw(); if (cursor >= 0) $('map-cell').textContent = words(cursor).join(' · '); };
$('map-worker').onchange = event => { selected = Number(event.target.value); refresh(); };
$('map-step').oninput = event => { stop(); step = Number(event.target.value); refresh(); };
$('map-in').onclick = () => zoom(1.6);
$('map-out').onclick = () => zoom(1 / 1.6);
$('map-fit').onclick = () => { fit(); draw(); };
let playing = 0;
function stop() {
  clearInterval(playing);
  playing = 0;
  $('map-play').textContent = '▶';
  $('map-play').setAttribute('aria-label', 'Play the steps');
}
$('map-play').onclick = () => {
  if (playing) { stop(); return; }
  const show = at => { step = at; $('map-step').value = at; refresh(); };
  show(step >= last ? 0 : step + 1);
  playing = setInterval(() => { if (step >= last) stop(); else show(step + 1); }, 900);
  $('map-play').textContent = '❚❚';
  $('map-play').setAttribute('aria-label', 'Pause');
};

/* Start */
(async () => {
  const unpacked = await Promise.all(index.workers.map((_, at) => inflate('map-cells-' + at)));
  workers = index.workers.map((worker, at) => ({
    ...worker, cells: unpacked[at].subarray(0, pages), steps: unpacked[at].subarray(pages, 2 * pages), changed: unpacked[at].subarray(2 * pages),
  }));
  for (const { cells } of workers) for (let page = 0; page < pages; page++) everSeen[classOf[cells[page] & 31]] = true;
  const option = (value, text) => $('map-worker').append(new Option(text, value));
  workers.forEach((worker, at) => option(at, 'worker ' + worker.worker + (worker.pid ? ' (pid ' + worker.pid + ')' : '')));
  if (workers.length > 1) option(-1, 'all workers');
  STATES.forEach((state, cls) => {
    const button = document.createElement('button');
    button.type = 'button';
    const swatch = document.createElement('i');
    swatch.className = 'swatch';
    swatch.style.background = 'var(--' + state.css + ')';
    button.append(swatch, state.name, document.createElement('b'), document.createElement('span'));
    button.onclick = () => { shown[cls] = !shown[cls]; paintImage(); tell(); draw(); };
    $('map-legend').append(button);
  });
  $('map-play').hidden = last === 0;
  layOut();
  fit();
  refresh();
  repaint.push(() => { paintImage(); drawNow(); });
  let width = canvas.clientWidth;
  new ResizeObserver(() => {
    if (canvas.clientWidth === width) return;
    width = canvas.clientWidth;
    layOut(); fit(); paintImage(); draw();
  }).observe(canvas);
})().catch(error => { $('map-status').textContent = 'The map could not be drawn: ' + error.message; throw error; });
})();
