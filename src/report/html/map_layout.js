// A report without page detail has no map.
if (!$('map')) return;

/* Data: see html/map.rs for the format */
const index = JSON.parse($('map-index').textContent);
const classOf = new Uint8Array(32);
for (let code = 0; code < 32; code++) {
  const state = code & 7, content = code >> 3;
  classOf[code] = state === 0 ? 0 : state === 2 ? 4 : state === 4 ? 5 : content === 1 ? 1 : content === 2 ? 2 : 3;
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
const onPhone = () => canvas.clientWidth < 560;
const labelFont = () => '500 ' + (onPhone() ? 10 : 12.5) + 'px ' + getComputedStyle(document.body).fontFamily;
/* Room for the names of bands, left of the cells: as wide as the widest, up to a third of a phone */
let widest = 0;
const gutter = () => Math.min(Math.max(widest + 18, onPhone() ? 60 : 158), onPhone() ? canvas.clientWidth * .36 : 230);
let columns = 0, rows = 0, bands = [], pageAt, placeOf;
function layOut() {
  const aspect = (canvas.clientWidth - gutter()) / (onPhone() ? 420 : 520);
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
  context.font = labelFont();
  widest = Math.max(0, ...bands.map(band => context.measureText(band.name).width));
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
