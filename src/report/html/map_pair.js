/* Two maps of pages on one scale; see html/map_pair.rs for the data */
if (!$('before-map')) return;
const shown = STATES.map(() => true);
const sides = ['before', 'after'].map(id => {
  const index = JSON.parse($(id + '-index').textContent);
  const canvas = $(id + '-map'), runs = [], byRegion = new Map();
  let pages = 0;
  for (let i = 0, end = 0; i < index.runs.length; i += 3) {
    const run = { first: end + index.runs[i], length: index.runs[i + 1], region: index.runs[i + 2], start: pages };
    end = run.first + run.length;
    pages += run.length;
    runs.push(run);
    if (!byRegion.has(run.region)) byRegion.set(run.region, []);
    byRegion.get(run.region).push(run);
  }
  return { id, index, canvas, context: canvas.getContext('2d'), runs, byRegion, pages, cells: new Uint8Array(pages), cursor: -1, image: document.createElement('canvas') };
});
const size = list => list.reduce((sum, run) => sum + run.length, 0);
const GUTTER = 12, LABEL = 17;
let columns = 0, cell = 1, worker = 0;
/* Bands of rows, each with its name above: the same number of columns on both sides */
function layOut(side) {
  const small = [], large = [];
  for (const [region, list] of side.byRegion) (size(list) < columns * 2 ? small : large).push([side.index.regions[region], list]);
  side.bands = large.map(([name, list]) => ({ name, list }));
  if (small.length) side.bands.push({ name: small.length === 1 ? small[0][0] : small.length + ' small regions', list: small.flatMap(one => one[1]) });
  side.placeOf = new Int32Array(side.pages);
  side.rows = 0;
  for (const band of side.bands) {
    band.count = size(band.list);
    band.top = side.rows;
    band.rows = Math.ceil(band.count / columns);
    side.rows += band.rows;
    let place = band.top * columns;
    for (const run of band.list) for (let page = run.start; page < run.start + run.length; page++) side.placeOf[page] = place++;
  }
  side.pageAt = new Int32Array(columns * side.rows).fill(-1);
  for (let page = 0; page < side.pages; page++) side.pageAt[side.placeOf[page]] = page;
}
function fit() {
  const width = Math.min(...sides.map(side => side.canvas.clientWidth)) - GUTTER;
  const most = Math.max(...sides.map(side => side.pages));
  cell = Math.min(16, Math.max(.25, Math.sqrt(width * 430 / most)));
  columns = Math.max(16, Math.floor(width / cell));
  cell = width / columns;
  sides.forEach(layOut);
  const height = side => side.rows * cell + side.bands.length * (LABEL + 6) + 4;
  const tallest = Math.ceil(Math.max(...sides.map(height)));
  for (const side of sides) side.canvas.style.height = tallest + 'px';
}
/* Where a row of cells begins on the screen: every band pushes what is below it down by its name */
const rowTop = (side, row) => row * cell + (side.bands.findLastIndex(band => band.top <= row) + 1) * (LABEL + 6) - 6;
function paint(side) {
  side.image.width = columns;
  side.image.height = Math.max(1, side.rows);
  const painter = side.image.getContext('2d'), data = painter.createImageData(columns, Math.max(1, side.rows));
  const pixels = new Uint32Array(data.data.buffer), faint = packed(rgb(colour('grid')));
  const table = STATES.map((state, at) => shown[at] ? packed(rgb(colour(state.css))) : faint);
  for (let page = 0; page < side.pages; page++) pixels[side.placeOf[page]] = table[side.cells[page]];
  painter.putImageData(data, 0, 0);
  draw(side);
}
function draw(side) {
  const { canvas, context } = side, ratio = devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * ratio);
  canvas.height = Math.round(canvas.clientHeight * ratio);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.font = '500 12px ' + getComputedStyle(document.body).fontFamily;
  context.textBaseline = 'middle';
  context.imageSmoothingEnabled = cell * ratio < 1;
  context.imageSmoothingQuality = 'high';
  const left = GUTTER / 2, width = columns * cell;
  for (const band of side.bands) {
    const top = rowTop(side, band.top), told = bytes(band.count * side.index.page_size);
    context.fillStyle = colour('muted');
    context.textAlign = 'right';
    context.fillText(told, left + width, top - LABEL / 2);
    context.fillStyle = colour('ink');
    context.textAlign = 'left';
    context.fillText(clipped(context, band.name, width - context.measureText(told).width - 10), left, top - LABEL / 2);
    context.drawImage(side.image, 0, band.top, columns, band.rows, left, top, width, band.rows * cell);
    if (cell < 5) continue;
    context.strokeStyle = colour('paper');
    context.lineWidth = cell / 9;
    context.beginPath();
    for (let column = 0; column <= columns; column++) { context.moveTo(left + column * cell, top); context.lineTo(left + column * cell, top + band.rows * cell); }
    for (let row = 0; row <= band.rows; row++) { context.moveTo(left, top + row * cell); context.lineTo(left + width, top + row * cell); }
    context.stroke();
  }
  if (side.cursor < 0) return;
  const place = side.placeOf[side.cursor];
  context.strokeStyle = colour('ink');
  context.lineWidth = 2;
  context.strokeRect(left + place % columns * cell - 1, rowTop(side, Math.floor(place / columns)) - 1, Math.max(cell, 4) + 2, Math.max(cell, 4) + 2);
}
function tell(side, page) {
  side.cursor = page;
  requestAnimationFrame(() => draw(side));
  const run = side.runs.findLast(one => one.start <= page);
  if (!run) return;
  const address = (run.first + page - run.start) * side.index.page_size;
  $('pair-cell').textContent = $(side.id + '-name').textContent + ' · ' + side.index.regions[run.region] + ' · 0x' + address.toString(16) + ' · ' + STATES[side.cells[page]].name;
}
function pageUnder(side, event) {
  const x = Math.floor((event.offsetX - GUTTER / 2) / cell);
  for (const band of side.bands) {
    const row = Math.floor((event.offsetY - rowTop(side, band.top)) / cell);
    if (row >= 0 && row < band.rows && x >= 0 && x < columns) return side.pageAt[(band.top + row) * columns + x] ?? -1;
  }
  return -1;
}
for (const side of sides) {
  side.canvas.onpointermove = event => { const page = pageUnder(side, event); if (page >= 0) tell(side, page); };
  side.canvas.onkeydown = event => {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    let page = side.cursor;
    if (by) page = side.pageAt[side.placeOf[Math.max(page, 0)] + by] ?? -1;
    else if (event.key === 'n') { do page++; while (page < side.pages && side.cells[page] === 0); }
    else if (event.key === 'p') { do page--; while (page >= 0 && side.cells[page] === 0); }
    else return;
    event.preventDefault();
    if (page >= 0 && page < side.pages) tell(side, page);
  };
}
/* One legend for both: how many pages of either side are in each state */
function legend() {
  const counts = sides.map(side => { const sums = STATES.map(() => 0); for (const at of side.cells) sums[at]++; return sums; });
  $('pair-legend').replaceChildren(...STATES.map((state, at) => {
    const button = document.createElement('button'), swatch = document.createElement('i'), number = document.createElement('b');
    button.type = 'button';
    button.setAttribute('aria-pressed', shown[at]);
    swatch.className = 'swatch';
    swatch.style.background = 'var(--' + state.css + ')';
    number.textContent = group(counts[0][at]) + ' → ' + group(counts[1][at]);
    button.append(swatch, state.name, number);
    button.onclick = () => { shown[at] = !shown[at]; button.setAttribute('aria-pressed', shown[at]); sides.forEach(paint); };
    button.hidden = counts[0][at] + counts[1][at] === 0;
    return button;
  }));
  sides.forEach((side, at) => {
    const told = STATES.map((state, cls) => counts[at][cls] ? group(counts[at][cls]) + ' ' + state.name : '').filter(Boolean).join(', ');
    side.canvas.setAttribute('aria-label', $(side.id + '-name').textContent + ', page map: ' + told + '. Arrow keys move between pages, N and P to the next and previous page that is not shared.');
  });
  $('pair-status').textContent = 'Worker ' + sides[0].index.workers[worker] + ': ' + sides.map((side, at) => $(side.id + '-name').textContent.toLowerCase() + ' ' + bytes((counts[at][1] + counts[at][2] + counts[at][3]) * side.index.page_size) + ' copied').join(', ') + '.';
}
async function show() {
  for (const side of sides) side.cells = await inflate(side.id + '-cells-' + Math.min(worker, side.index.workers.length - 1));
  legend();
  sides.forEach(paint);
  $('pair-status').dataset.ready = 'true';
}
const workers = Math.min(...sides.map(side => side.index.workers.length));
for (let at = 0; at < workers; at++) $('pair-worker').add(new Option(sides[0].index.workers[at], at));
$('pair-worker').onchange = () => { worker = Number($('pair-worker').value); show(); };
repaint.push(() => sides.forEach(paint));
let fitted = 0;
new ResizeObserver(() => {
  if (fitted === sides[0].canvas.clientWidth) return;
  fitted = sides[0].canvas.clientWidth;
  fit();
  sides.forEach(paint);
}).observe(sides[0].canvas);
fit();
show();
