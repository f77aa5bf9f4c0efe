/* What maps of pages share: the states of a page, colours, short names */
const STATES = [
  { css: 'shared', name: 'shared' },
  { css: 'ghost', name: 'identical copy (ghost)' },
  { css: 'differs', name: 'copy with new data' },
  { css: 'uncompared', name: 'copy not compared' },
  { css: 'zygote', name: 'written by the zygote' },
  { css: 'gone', name: 'unmapped' },
];
const colour = name => getComputedStyle(root).getPropertyValue('--' + name).trim();
const rgb = hex => [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16));
const packed = ([r, g, b]) => (255 << 24 | b << 16 | g << 8 | r) >>> 0;
const clipped = (context, text, width) => {
  const fits = part => context.measureText(part).width <= width;
  if (fits(text)) return text;
  const shortened = keep => text.slice(0, Math.ceil(keep / 2)) + '…' + text.slice(text.length - Math.floor(keep / 2));
  let keep = text.length - 1;
  while (keep > 1 && !fits(shortened(keep))) keep--;
  return shortened(keep);
};
