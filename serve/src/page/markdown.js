'use strict';
const $ = id => document.getElementById(id);
const el = (tag, props, ...children) => {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
};
const button = (text, onclick, props) => {
  const node = el('button', { type: 'button', textContent: text, className: 'quiet', ...props });
  node.addEventListener('click', onclick);
  return node;
};

// Markdown. The text comes from a model, so it becomes DOM nodes and text only, never HTML, and every search has a bound.
const LONGEST_LINE = 20000, DEEPEST = 6, MOST_TEXT = 400000;
const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([^`]*)$/, HEADING = /^ {0,3}(#{1,6})[ \t]+(.*)$/, QUOTE = /^ {0,3}> ?(.*)$/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?:[ \t](.*))?$/;
const COLUMNS = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const blank = line => line.trim() === '';
const indent = line => line.length - line.trimStart().length;
const begins = line => FENCE.test(line) || HEADING.test(line) || QUOTE.test(line) || RULE.test(line) || ITEM.test(line);

// Lines to blocks: {kind, lines, …}. A block with the same lines keeps its nodes while an answer grows.
function scan(lines) {
  const blocks = [];
  let i = 0;
  const take = (kind, from, more) => blocks.push({ kind, lines: lines.slice(from, i), ...more });
  while (i < lines.length) {
    const line = lines[i], from = i;
    let match;
    if (blank(line)) { i++; continue; }
    if (line.length > LONGEST_LINE) { i++; take('plain', from); continue; }
    if ((match = FENCE.exec(line))) {
      const shut = new RegExp('^ {0,3}' + match[1][0] + '{' + match[1].length + ',}[ \\t]*$');
      for (i++; i < lines.length && !shut.test(lines[i]); i++);
      const end = i++;
      i = Math.min(i, lines.length);
      take('code', from, { language: match[2].trim().split(/\s/)[0].slice(0, 40), inner: lines.slice(from + 1, end) });
    } else if ((match = HEADING.exec(line))) {
      i++;
      take('heading', from, { level: Math.min(match[1].length + 2, 6), inner: match[2].trim().replace(/(^|[ \t])#+$/, '') });
    } else if (RULE.test(line)) { i++; take('rule', from);
    } else if (QUOTE.test(line)) {
      while (i < lines.length && (QUOTE.test(lines[i]) || (!blank(lines[i]) && !begins(lines[i])))) i++;
      take('quote', from, { inner: lines.slice(from, i).map(l => (QUOTE.exec(l) || [l, l])[1]) });
    } else if ((match = ITEM.exec(line)) && match[1].length < 10) {
      i = list(lines, i, match, blocks);
    } else if (line.includes('|') && i + 1 < lines.length && lines[i + 1].length < 4000 && lines[i + 1].includes('-')
        && COLUMNS.test(lines[i + 1]) && cells(line).length === cells(lines[i + 1]).length) {
      for (i += 2; i < lines.length && lines[i].includes('|') && !blank(lines[i]); i++);
      take(i - from > 1000 || cells(line).length > 60 ? 'plain' : 'table', from);
    } else {
      for (i++; i < lines.length && !blank(lines[i]) && !begins(lines[i]) && lines[i].length <= LONGEST_LINE; i++);
      take('text', from);
    }
  }
  return blocks;
}
function list(lines, i, first, blocks) {
  const ordered = m => /\d/.test(m[2]), from = i, base = first[1].length, items = [];
  let wide = base + first[2].length + 1;
  for (let gap = false; i < lines.length; i++) {
    const line = lines[i], match = ITEM.exec(line);
    if (blank(line)) { gap = true; items.at(-1).push(''); continue; }
    if (match && match[1].length < (items.length ? wide : base + 1)) {
      if (match[1].length < base || ordered(match) !== ordered(first) || RULE.test(line)) break;
      wide = match[1].length + match[2].length + 1;
      items.push([match[3] || '']);
    } else if (indent(line) >= Math.min(wide, base + 2)) items.at(-1).push(line.slice(Math.min(indent(line), wide)));
    else if (!gap && !begins(line)) items.at(-1).push(line);
    else break;
    gap = false;
  }
  blocks.push({ kind: 'list', lines: lines.slice(from, i), ordered: ordered(first), start: parseInt(first[2], 10), items });
  return i;
}
const cells = line => {
  const out = [''], row = line.trim().replace(/^\|/, '').replace(/([^\\])\|$/, '$1');
  for (let i = 0; i < row.length; i++) {
    if (row[i] === '\\' && row[i + 1] === '|') { out[out.length - 1] += '|'; i++; }
    else if (row[i] === '|') out.push('');
    else out[out.length - 1] += row[i];
  }
  return out.map(cell => cell.trim());
};
const spans = (tag, text, props) => { const node = el(tag, props); inline(text, node, 0); return node; };
function build(block, depth) {
  const source = block.lines.join('\n');
  switch (depth > DEEPEST ? 'plain' : block.kind) {
    case 'plain': return el('p', { textContent: source });
    case 'rule': return el('hr');
    case 'heading': return spans('h' + block.level, block.inner);
    case 'quote': return fill(el('blockquote'), block.inner, depth + 1);
    case 'text': return spans('p', block.lines.map(l => l.trimStart()).join('\n').trimEnd());
    case 'code': {
      const text = block.inner.join('\n'), language = block.language || 'Code';
      const pre = el('pre', { tabIndex: 0, role: 'region', ariaLabel: 'Code: ' + language }, el('code', { textContent: text }));
      const bar = el('div', { className: 'bar' }, el('span', { textContent: language }), button('Copy', e => copy(text, e.currentTarget), { ariaLabel: 'Copy the code' }));
      return el('figure', { className: 'code' }, bar, pre);
    }
    case 'list': {
      const node = el(block.ordered ? 'ol' : 'ul');
      if (block.ordered && block.start !== 1) node.start = block.start;
      for (const item of block.items) {
        const li = fill(el('li'), item, depth + 1);
        if (li.firstChild && li.firstChild.tagName === 'P') li.firstChild.replaceWith(...li.firstChild.childNodes);
        node.append(li);
      }
      return node;
    }
    case 'table': {
      const align = cells(block.lines[1]).map(c => (c.endsWith(':') ? (c.startsWith(':') ? 'c' : 'r') : ''));
      const row = (line, tag) => el('tr', null, ...align.map((className, n) => spans(tag, cells(line)[n] || '', { className })));
      const table = el('table', null, el('thead', null, row(block.lines[0], 'th')), el('tbody', null, ...block.lines.slice(2).map(l => row(l, 'td'))));
      return el('div', { className: 'scroll', tabIndex: 0, role: 'region', ariaLabel: 'Table' }, table);
    }
  }
}
function fill(node, lines, depth) {
  node.append(...scan(lines).map(block => build(block, depth)));
  return node;
}
function markdown(into, text) {
  if (text.length > MOST_TEXT) { into.replaceChildren(el('p', { textContent: text })); return; }
  const blocks = scan(text.replace(/\r\n?/g, '\n').replace(/\t/g, '    ').split('\n'));
  blocks.forEach((block, n) => {
    const source = block.kind + block.lines.join('\n'), old = into.children[n];
    if (old && old.source === source) return;
    const node = build(block, 0);
    node.source = source;
    if (old) old.replaceWith(node); else into.append(node);
  });
  while (into.children.length > blocks.length) into.lastChild.remove();
}
function address(text) {
  if (text.length > 2000 || !/^(?:https?:|mailto:)/i.test(text) || /[\x00-\x20\x7f\\]/.test(text)) return null;
  try { const url = new URL(text); return ['http:', 'https:', 'mailto:'].includes(url.protocol) ? url.href : null; } catch { return null; }
}
const LETTER = /[\p{L}\p{N}]/u;
function inline(src, into, depth) {
  if (src.length > LONGEST_LINE || depth > DEEPEST) { into.append(src); return; }
  const none = new Set(), web = /https?:\/\/[^\s<>"'`\\]+/iy;
  let text = '', i = 0;
  const add = node => { if (text) into.append(text); text = ''; into.append(node); };
  const link = (label, href, title) => {
    const node = el('a', { href, title: title || href, target: '_blank', rel: 'noopener noreferrer' });
    inline(label, node, depth + 1);
    for (const a of node.querySelectorAll('a')) a.replaceWith(...a.childNodes);
    add(node);
  };
  // The end of a span that `mark` opened at i, or -1; a mark that has none is not looked for again.
  const end = mark => {
    if (none.has(mark) || !src[i + mark.length] || /\s/.test(src[i + mark.length])) return -1;
    for (let j = src.indexOf(mark, i + mark.length + 1); j > 0; j = src.indexOf(mark, j + 1)) {
      if (/[\s\\]/.test(src[j - 1])) continue;
      if (mark.length === 1 && (src[j + 1] === mark || src[j - 1] === mark)) { j++; continue; }
      if (mark.length === 2 && src[j + 2] === mark[0]) j++;
      if (mark[0] === '_' && LETTER.test(src[j + mark.length] || '')) continue;
      return j;
    }
    none.add(mark);
    return -1;
  };
  while (i < src.length) {
    const c = src[i];
    if (c === '\\' && i + 1 < src.length && '\\`*_[]<>#~|'.includes(src[i + 1])) { text += src[i + 1]; i += 2; continue; }
    if (c === '\n') { text = text.replace(/ {1,9}$/, ''); add(el('br')); i++; continue; }
    if (c === '`') {
      let run = i;
      while (src[run] === '`') run++;
      const mark = src.slice(i, run);
      let j = none.has(mark) ? -1 : src.indexOf(mark, run);
      while (j > 0 && src[j + mark.length] === '`') { while (src[j] === '`') j++; j = src.indexOf(mark, j); }
      if (j > 0) { add(el('code', { textContent: src.slice(run, j).replace(/^ (.+) $/, '$1') })); i = j + mark.length; }
      else { none.add(mark); text += mark; i = run; }
      continue;
    }
    if (c === '*' || c === '_' || c === '~') {
      const mark = src[i + 1] === c ? c + c : c, before = src[i - 1] || '';
      const j = mark === '~' || (c === '_' && LETTER.test(before)) ? -1 : end(mark);
      if (j > 0) { add(el({ '*': 'em', _: 'em', '~~': 'del' }[mark] || 'strong')); inline(src.slice(i + mark.length, j), into.lastChild, depth + 1); i = j + mark.length; }
      else { text += mark; i += mark.length; }
      continue;
    }
    if (c === '[' || (c === '!' && src[i + 1] === '[')) {
      const found = target(src, c === '!' ? i + 1 : i), href = found && address(found.href);
      if (href) { link((c === '!' ? 'Image: ' : '') + found.label, href); i = found.end; continue; }
    } else if (c === '<') {
      const j = src.indexOf('>', i), href = j > 0 && j - i < 2000 && address(src.slice(i + 1, j));
      if (href) { add(el('a', { href, textContent: src.slice(i + 1, j), target: '_blank', rel: 'noopener noreferrer' })); i = j + 1; continue; }
    } else if ((c === 'h' || c === 'H') && !LETTER.test(src[i - 1] || '')) {
      web.lastIndex = i;
      const raw = (web.exec(src) || [''])[0].replace(/[.,:;!?*_~)\]}]{1,9}$/, ''), href = raw && address(raw);
      if (href) { add(el('a', { href, textContent: raw, target: '_blank', rel: 'noopener noreferrer' })); i += raw.length; continue; }
    }
    text += c;
    i++;
  }
  if (text) into.append(text);
}
// [label](address "title"), from its bracket on.
function target(src, start) {
  const limit = Math.min(src.length, start + 3000);
  const shut = (at, open, close) => {
    for (let depth = 0; at < limit; at++) {
      if (src[at] === '\\') at++;
      else if (src[at] === open) depth++;
      else if (src[at] === close && --depth === 0) return at;
    }
    return -1;
  };
  const mid = shut(start, '[', ']');
  if (mid < 0 || src[mid + 1] !== '(') return null;
  const end = shut(mid + 1, '(', ')');
  if (end < 0) return null;
  return { label: src.slice(start + 1, mid), href: src.slice(mid + 2, end).trim().replace(/^<|>$/g, '').replace(/\s+["'(].*$/, ''), end: end + 1 };
}
async function copy(text, from) {
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else { // Without TLS a page has no clipboard but this.
      const area = el('textarea', { value: text, className: 'unseen' });
      document.body.append(area);
      area.select();
      if (!document.execCommand('copy')) throw new Error();
      area.remove();
      from.focus();
    }
    from.textContent = 'Copied';
    say('Copied');
  } catch { from.textContent = 'Not copied'; }
  setTimeout(() => { from.textContent = 'Copy'; }, 2000);
}
