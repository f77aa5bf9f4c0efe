/* Words: status, legend, one cell */
const stepName = at => index.steps[at] === undefined ? 'the fork' : index.steps[at];
const who = () => selected < 0 ? 'All ' + workers.length + ' workers' : 'Worker ' + workers[selected].worker;
function tell() {
  const parts = colours.kinds.map((kind, at) => [counts[at], kind.name]).filter(([count], at) => count > 0 || at === 0);
  if (others > 0) parts.push([others, 'broken by others (dimmed)']);
  const total = counts.reduce((sum, count) => sum + count, others);
  $('map-status').textContent = who() + ' after “' + stepName(step) + '”: ' + group(total) + ' inherited pages: ' + parts.map(([count, name]) => group(count) + ' ' + name).join(' · ');
  $('map-status').dataset.ready = 'true';
  $('map-step-name').textContent = stepName(step);
  $('map-step').setAttribute('aria-valuetext', stepName(step));
  colours.kinds.forEach((kind, at) => {
    const button = $('map-legend').children[at];
    button.hidden = !colours.seen[at];
    button.setAttribute('aria-pressed', colours.shown[at]);
    button.querySelector('b').textContent = group(counts[at]);
    button.querySelector('span').textContent = bytes(counts[at] * index.page_size);
  });
}
function layLegend() {
  $('map-legend').replaceChildren(...colours.kinds.map((kind, at) => {
    const button = document.createElement('button'), swatch = document.createElement('i');
    button.type = 'button';
    button.title = kind.phrase || '';
    swatch.className = 'swatch';
    swatch.style.background = 'var(--' + kind.css + ')';
    button.append(swatch, kind.name, document.createElement('b'), document.createElement('span'));
    button.onclick = () => { colours.shown[at] = !colours.shown[at]; paintImage(); tell(); draw(); };
    return button;
  }));
}
function colourBy(name) {
  colours = name === 'cause' && byCause ? byCause : byState;
  for (const button of document.querySelectorAll('[data-colour]')) button.setAttribute('aria-pressed', button.dataset.colour === name);
  layLegend();
}
const hex = address => '0x' + (BigInt(address) * BigInt(index.page_size)).toString(16);
function words(page) {
  const run = runOf(page), address = hex(run.first + page - run.start);
  const lines = [index.regions[run.region] + '  ' + address];
  if (selected < 0) {
    const tally = new Map();
    for (const worker of workers) { const cls = classAt(worker, page); tally.set(cls, (tally.get(cls) || 0) + 1); }
    lines.push([...tally].map(([cls, count]) => count + ' of ' + workers.length + ' workers: ' + STATES[cls].name).join('; '));
    return lines.concat(commonBreakWords(page));
  }
  const worker = workers[selected], code = worker.now[page], cls = classAt(worker, page), state = code & 7;
  lines.push(STATES[cls].name);
  if (cls === 0) return lines;
  const writer = ['', 'written by the worker', 'written by the zygote', 'written by worker and zygote', 'no longer mapped'][state];
  lines.push(writer + (worker.steps[page] <= last ? ', first seen after “' + stepName(worker.steps[page]) + '”' : ''));
  if (code >> 3 === 2) {
    const changed = worker.cells[page] === code ? worker.changed[differing(worker, page)] : undefined;
    if (changed !== undefined) lines.push((changed < 128 ? changed : 'about ' + group((changed - 128) * 32)) + (changed === 1 ? ' byte differs' : ' bytes differ') + ' of ' + group(index.page_size));
  } else if (code >> 3 === 1) lines.push('every byte is as it was at the fork');
  return lines.concat(breakWords(worker, page));
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

/* The packed data of one worker: see html/map.rs */
function unpack(worker, data) {
  const count = worker.earlier, until = 2 * pages, codes = until + count;
  const earlier = { until: data.subarray(until, codes), codes: data.subarray(codes, codes + count), pages: new Uint32Array(count) };
  let at = codes + count;
  for (let i = 0, page = 0; i < count; i++) {
    for (let shift = 0, more = true; more; shift += 7) { page += (data[at] & 127) << shift; more = data[at++] > 127; }
    earlier.pages[i] = page;
  }
  return { ...worker, cells: data.subarray(0, pages), steps: data.subarray(pages, until), earlier, changed: data.subarray(at), now: new Uint8Array(pages) };
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
    if (page >= 0 && classes[page] !== 0 && colours.shown[classes[page]]) return page;
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
for (const button of document.querySelectorAll('[data-colour]')) button.onclick = () => { colourBy(button.dataset.colour); refresh(); };
const lookFor = query => { find(query); refresh(); };
if ($('map-find')) $('map-find').oninput = event => lookFor(event.target.value);
for (const button of document.querySelectorAll('[data-find]')) button.onclick = () => {
  $('map-find').value = button.dataset.find;
  lookFor(button.dataset.find);
  $('page-map').scrollIntoView({ behavior: 'smooth' });
};
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
  workers = index.workers.map((worker, at) => unpack(worker, unpacked[at]));
  for (const { cells, earlier } of workers) for (const codes of [cells, earlier.codes]) for (const code of codes) byState.seen[classOf[code & 31]] = true;
  await readBreaks();
  if (told) {
    const kinds = told.causes.map(([css, name, phrase]) => ({ css, name, phrase }));
    byCause = colouring([STATES[0], ...kinds, STATES[5]]);
    for (const story of told.stories) byCause.seen[story[STORY.cause] + 1] = true;
    byCause.seen[kinds.length + 1] = byState.seen[5];
  }
  const option = (value, text) => $('map-worker').append(new Option(text, value));
  workers.forEach((worker, at) => option(at, 'worker ' + worker.worker + (worker.pid ? ' (pid ' + worker.pid + ')' : '')));
  if (workers.length > 1) option(-1, 'all workers');
  colourBy($('map-colours') ? 'cause' : 'state');
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
