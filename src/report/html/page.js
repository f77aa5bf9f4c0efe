const $ = id => document.getElementById(id);
const group = n => n.toLocaleString('en-US');
const root = document.documentElement;
const bytes = n => {
  for (const [unit, size] of [['GiB', 2 ** 30], ['MiB', 2 ** 20], ['KiB', 1024]]) if (n >= size) return (n / size).toFixed(1) + ' ' + unit;
  return n + ' B';
};
/* Packed data: base64 of raw deflate */
async function inflate(id) {
  const text = atob($(id).textContent);
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

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
  before = [...document.querySelectorAll('details:not([open])')].filter(d => d.querySelectorAll('tr').length <= 20 && !d.closest('.owners'));
  before.forEach(d => { d.open = true; });
  beforeTheme = theme;
  setTheme(1);
});
addEventListener('afterprint', () => { before.forEach(d => { d.open = false; }); setTheme(beforeTheme); });
