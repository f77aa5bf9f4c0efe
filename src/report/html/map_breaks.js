/* Breaks: which write broke a page; see html/map_breaks.rs for the format */
let told = null;
const STORY = { cause: 0, flags: 1, type: 2, field: 3, owner: 4, writer: 5, place: 6 };
const FLAG = { zygote: 2, noGil: 4, kernel: 8 };
const NO_ONE = { owner: 'no owner known', type: 'no object known', writer: 'no writer known', place: 'no Python line' };
async function readBreaks() {
  if (!$('map-break-index')) return;
  told = JSON.parse(new TextDecoder().decode(await inflate('map-break-index')));
  told.texts = told.stories.map(sayStory);
  const packs = await Promise.all(workers.map((_, at) => inflate('map-breaks-' + at)));
  workers.forEach((worker, at) => { worker.breaks = unpackBreaks(packs[at], told.rows[at]); });
}
function unpackBreaks(data, count) {
  let at = 0;
  const column = () => {
    const numbers = new Uint32Array(count);
    for (let row = 0; row < count; row++) {
      let number = 0;
      for (let shift = 0, more = true; more; shift += 7) { number += (data[at] & 127) << shift; more = data[at++] > 127; }
      numbers[row] = number;
    }
    return numbers;
  };
  const at_pages = column();
  for (let row = 1; row < count; row++) at_pages[row] += at_pages[row - 1];
  const stories = column(), threads = column();
  const causes = new Uint8Array(pages), hit = new Uint8Array(pages);
  for (let row = 0; row < count; row++) causes[at_pages[row]] = told.stories[stories[row]][STORY.cause] + 1;
  return { pages: at_pages, stories, threads, high: data.subarray(at, at + count), low: data.subarray(at + count), causes, hit };
}
function sayStory(story) {
  const of = (names, column) => story[column] ? names[story[column] - 1] : '';
  const type = of(told.types, STORY.type), field = of(told.fields, STORY.field), writer = of(told.writers, STORY.writer);
  return {
    cause: told.causes[story[STORY.cause]], flags: story[STORY.flags], type: type || NO_ONE.type,
    field: (type || NO_ONE.type) + (field ? '.' + field.replace(/^\.+/, '') : type ? ', no field known' : ''), bare: field,
    owner: of(told.owners, STORY.owner) || NO_ONE.owner,
    writer: !writer ? NO_ONE.writer : writer[0] ? writer[0] + ' (' + writer[1] + ')' : writer[1] + ', no symbol',
    line: of(told.places, STORY.place) || NO_ONE.place,
  };
}
function breakRow(worker, page) {
  const rows = worker.breaks.pages;
  let low = 0, high = rows.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle] < page) low = middle + 1; else high = middle;
  }
  return rows[low] === page ? low : -1;
}
const hasBreaks = worker => told !== null && worker.breaks !== undefined;
/* Lines of text on one row of one worker, or on the story most workers share */
function breakWords(worker, page) {
  const row = hasBreaks(worker) ? breakRow(worker, page) : -1;
  if (row < 0) return [];
  const { breaks } = worker, thread = told.threads[breaks.threads[row]];
  const lines = storyWords(told.texts[breaks.stories[row]], (breaks.high[row] << 8) + breaks.low[row]);
  if (thread) lines.push('thread ' + thread);
  return lines;
}
function storyWords(text, offset) {
  const known = text.type !== NO_ONE.type, where = text.flags & 1 && offset !== undefined ? ' at byte 0x' + offset.toString(16) : '';
  const object = known ? text.field : text.bare;
  const lines = ['cause: ' + text.cause[1] + ' (' + text.cause[2] + ')'];
  if (object) lines.push('object: ' + object + where);
  if (text.owner !== NO_ONE.owner) lines.push('owner: ' + text.owner);
  if (text.line !== NO_ONE.place) lines.push('line: ' + text.line + (text.flags & FLAG.noGil ? ', native code without the GIL' : '') + (text.flags & FLAG.kernel ? ', in a system call' : ''));
  if (text.writer !== NO_ONE.writer) lines.push('writer: ' + text.writer);
  return lines;
}
function commonBreakWords(page) {
  const tally = new Map();
  for (const worker of workers) {
    const row = hasBreaks(worker) && classAt(worker, page) !== 0 ? breakRow(worker, page) : -1;
    if (row >= 0) tally.set(worker.breaks.stories[row], (tally.get(worker.breaks.stories[row]) || 0) + 1);
  }
  const most = [...tally].sort((a, b) => b[1] - a[1])[0];
  return most ? ['in ' + most[1] + ' of ' + workers.length + ' workers:', ...storyWords(told.texts[most[0]])] : [];
}

/* Finding: `owner:shop.CATALOG` and its like name one thing; anything else is looked for everywhere */
let finding = '';
const FINDERS = {
  owner: (text, wanted) => text.owner.startsWith(wanted) && (text.owner.length === wanted.length || /^[.[]/.test(text.owner.slice(wanted.length))),
  type: (text, wanted) => text.type === wanted,
  field: (text, wanted) => text.field === wanted,
  writer: (text, wanted) => text.writer === wanted,
  line: (text, wanted) => text.line === wanted,
  cause: (text, wanted) => text.cause[1] === wanted,
};
function find(query) {
  finding = query.trim();
  if (!told || !finding) return;
  const colon = finding.indexOf(':'), finder = FINDERS[finding.slice(0, colon)];
  const lower = finding.toLowerCase();
  const matches = told.texts.map(text => finder
    ? finder(text, finding.slice(colon + 1))
    : [text.cause[1], text.cause[2], text.field, text.owner, text.writer, text.line].join('\n').toLowerCase().includes(lower));
  for (const { breaks } of workers) {
    breaks.hit.fill(0);
    for (let row = 0; row < breaks.pages.length; row++) if (matches[breaks.stories[row]]) breaks.hit[breaks.pages[row]] = 1;
  }
}
