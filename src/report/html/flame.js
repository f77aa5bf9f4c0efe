/* Flame graph of broken bytes, outermost call on top; see html/flame.rs for the data */
const ROW = 22, THIN = 2.5, LABELLED = 34;
async function drawFlame() {
  const host = $('flame');
  if (!host) return;
  const data = JSON.parse(new TextDecoder().decode(await inflate('flame-data')));
  const size = node => bytes(node.pages * data.page_size), share = node => (100 * node.pages / data.pages).toFixed(node.pages * 100 < data.pages ? 2 : 0) + ' %';
  const all = { label: 'all broken pages', path: '', pages: data.pages, own: 0, cause: -1, depth: 0, from: 0, filled: 0, children: [], parent: null };
  const nodes = [all];
  for (const [parent, name, pages, own, cause] of data.nodes) {
    const above = nodes[parent], [label, path] = data.names[name];
    const node = { label, path, pages, own, cause, depth: above.depth + 1, parent: above, children: [], from: above.from + above.filled, filled: 0 };
    above.filled += pages;
    above.children.push(node);
    nodes.push(node);
  }
  let top = all, at = all, wanted = '';
  const within = (node, ancestor) => { while (node && node !== ancestor) node = node.parent; return node === ancestor; };
  const matches = node => wanted !== '' && (node.label + '\n' + node.path).toLowerCase().includes(wanted);
  const words = node => node.label + ' · ' + size(node) + ', ' + share(node) + ' of all broken bytes' + (node.cause < 0 ? '' : ' · mostly ' + data.causes[node.cause][1]) + (node.own && node.own !== node.pages ? ' · ' + bytes(node.own * data.page_size) + ' by its own lines' : '');
  const say = node => { $('flame-cell').textContent = words(node); };
  function render() {
    const width = host.clientWidth, drawn = [], shown = [];
    let deepest = at.depth, deeper = 0;
    for (const node of nodes) {
      const above = node !== top && within(top, node);
      if (!above && !within(node, top)) continue;
      const part = above ? 1 : node.pages / top.pages;
      if (part * width < THIN) continue;
      shown.push({ node, above, part });
      if (part * width > LABELLED) deepest = Math.max(deepest, node.depth);
    }
    for (const { node, above, part } of shown) {
      if (node.depth > deepest) { deeper++; continue; }
      const box = document.createElement('div'), cause = node.cause < 0 ? null : data.causes[node.cause][0];
      box.textContent = part * width > LABELLED ? node.label : '';
      box.title = words(node);
      box.style.cssText = 'left:' + (above ? 0 : 100 * (node.from - top.from) / top.pages) + '%;width:' + 100 * part + '%;top:' + node.depth * ROW + 'px';
      if (cause) { box.style.background = 'var(--' + cause + ')'; box.style.color = 'var(--' + cause + '-ink)'; }
      box.classList.toggle('above', above);
      box.classList.toggle('at', node === at);
      box.classList.toggle('other', wanted !== '' && !matches(node));
      box.flameNode = node;
      drawn.push(box);
    }
    host.style.height = (deepest + 1) * ROW + 'px';
    host.replaceChildren(...drawn);
    $('flame-deeper').textContent = deeper === 0 ? '' : group(deeper) + (deeper === 1 ? ' narrow call is' : ' narrow calls are') + ' deeper than the graph: zoom into what is above to see more.';
  }
  function zoomTo(node) { top = node; at = node; render(); say(node); $('flame-reset').disabled = top === all; }
  function move(node) {
    if (!node) return;
    at = node;
    if (!within(at, top)) top = at;
    render();
    say(at);
  }
  const beside = way => at.parent && at.parent.children[at.parent.children.indexOf(at) + way];
  const keys = {
    ArrowDown: () => move(at.children[0]), ArrowUp: () => move(at.parent), ArrowLeft: () => move(beside(-1)), ArrowRight: () => move(beside(1)),
    Enter: () => zoomTo(at), ' ': () => zoomTo(at), Escape: () => zoomTo(top === at && top.parent ? top.parent : all), Home: () => zoomTo(all),
  };
  host.addEventListener('keydown', event => {
    const act = keys[event.key];
    if (act && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); act(); }
  });
  host.addEventListener('click', event => { if (event.target.flameNode) zoomTo(event.target.flameNode); });
  host.addEventListener('pointerover', event => { if (event.target.flameNode) say(event.target.flameNode); });
  $('flame-reset').onclick = () => zoomTo(all);
  $('flame-find').oninput = event => {
    wanted = event.target.value.trim().toLowerCase();
    const found = nodes.filter(matches), widest = found.filter(node => { for (let above = node.parent; above; above = above.parent) if (matches(above)) return false; return true; });
    const sum = widest.reduce((total, node) => total + node.pages, 0);
    $('flame-cell').textContent = wanted ? group(found.length) + ' calls match: ' + bytes(sum * data.page_size) + ', ' + (100 * sum / data.pages).toFixed(1) + ' % of all broken bytes' : words(at);
    render();
  };
  let width = 0;
  new ResizeObserver(() => { if (host.clientWidth !== width) { width = host.clientWidth; render(); } }).observe(host);
  render();
  say(all);
  host.dataset.ready = 'true';
}
drawFlame();

