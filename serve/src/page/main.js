// What the user does.
function settings() {
  const bad = ['temperature', 'top_p', 'max_tokens', 'seed'].find(id => !$(id).checkValidity());
  if (bad) { drawer(!touch.matches && getComputedStyle($('menu')).display !== 'none'); $('settings').open = true; $(bad).reportValidity(); return null; }
  const out = {};
  for (const id of ['temperature', 'top_p', 'max_tokens', 'seed']) if ($(id).value !== '') out[id] = Number($(id).value);
  return out;
}
function send() {
  const content = $('question').value.trim();
  if (!content || run || !settings()) return;
  if (editing) chat.messages.length = chat.messages.findLastIndex(m => m.role === 'user');
  if (!chat.messages.length && chat.title === 'New chat') chat.title = content.split('\n')[0].slice(0, 60);
  chat.messages.push({ role: 'user', content });
  if (!chats.includes(chat)) chats.unshift(chat);
  $('question').value = '';
  show(chat);
  answer();
}
function regenerate() {
  if (run || !settings()) return;
  if (chat.messages.at(-1).role === 'assistant') chat.messages.pop();
  show(chat);
  answer();
}
// Asks for the answer to the last question, again if the server says when.
async function answer(tries = 0) {
  const body = {
    model: $('model').value, stream: true, stream_options: { include_usage: true }, prompt_cache_key: 'page-' + chat.id, ...settings(),
    messages: chat.messages.map(({ role, content }) => ({ role, content })).filter(m => m.content),
  };
  if (!body.model) delete body.model;
  if ($('system').value.trim()) body.messages.unshift({ role: 'system', content: $('system').value });
  const here = chat, message = { role: 'assistant', content: '' }, mine = run = { chat, message, stop: new AbortController() };
  here.messages.push(message);
  here.updated = Date.now();
  failed = null;
  $('log').append(draw(message));
  tools();
  follow(true);
  let due = 0, timer = 0, saved = Date.now(), error = null;
  const paint = () => {
    timer = 0;
    const begun = performance.now(), stay = near();
    if (chat === here) { fillIn(message); follow(stay); }
    due = performance.now() + Math.max(60, 4 * (performance.now() - begun)); // A slow browser paints less often.
    if (Date.now() - saved > 3000) { saved = Date.now(); keep(here); }
  };
  try {
    await talk(body, message, mine.stop.signal, () => { timer = timer || setTimeout(paint, Math.max(0, due - performance.now())); });
  } catch (caught) { error = caught; }
  clearTimeout(timer);
  run = null;
  if (error && error.name === 'AbortError') { message.note = 'Stopped.'; error = null; }
  else if (error && !(error instanceof Problem)) error = message.content ? new Problem('The connection ended before the answer did.', '', { again: true }) : GONE();
  if (error && message.content) message.note = 'Incomplete.';
  if (!message.content && (error || message.note === 'Stopped.')) { // Nothing to keep: the question can be asked again.
    here.messages.splice(here.messages.indexOf(message), 1);
    if (message.node) message.node.remove();
  }
  keep(here);
  if (error) fail(error, here, tries);
  if (chat === here) { const stay = near(); if (message.node.isConnected) fillIn(message); tools(); follow(stay || !!error); }
  drawChats();
  if (!error) {
    const spoken = message.node.children[1].innerText.trim();
    say(message.note === 'Stopped.' ? 'Stopped.' : 'Answer: ' + (spoken.length > 3000 ? spoken.slice(0, 3000) + ' … The rest is in the conversation.' : spoken) + ' ' + (message.note || ''));
  }
  if (document.activeElement === document.body || document.activeElement === $('stop')) $('question').focus();
}
function keep(c) {
  if (!chats.includes(c)) return; // Deleted meanwhile.
  const messages = c.messages.map(({ role, content, note, stats }) => ({ role, content, note, stats }));
  unsaved = !save({ id: c.id, title: c.title, updated: c.updated, messages });
  if (!unsaved) $('kept').textContent = '';
  state();
}
function fail(error, here, tries) {
  const line = el('span', { className: 'grow' }), row = el('div', { className: 'row' }, line);
  const node = el('div', { className: 'problem' }, el('strong', { textContent: error.title }), el('p', { className: 'small', textContent: error.detail || '' }), row);
  let timer = 0;
  const again = () => { clearInterval(timer); if (run || chat !== here) return; retry(); };
  const retry = (next = 0) => { failed = null; node.remove(); $('question').focus(); answer(next); };
  if (error.key) row.append(button('Enter the key', async () => { if (await askKey()) again(); }, { className: 'main' }));
  if (error.again) row.append(button('Try again', again, { className: '' }));
  if (error.wait && tries < 5) {
    const until = Date.now() + error.wait * 1000, cancel = button('Cancel', () => { clearInterval(timer); line.textContent = ''; cancel.remove(); $('question').focus(); }, { className: '' });
    const tick = () => {
      const left = Math.ceil((until - Date.now()) / 1000);
      line.textContent = `It is tried again in ${Math.max(left, 0)} s.`;
      if (!node.isConnected && chat === here && failed && failed.node !== node) clearInterval(timer);
      if (left <= 0 && !run) { clearInterval(timer); if (failed && failed.node === node && chat === here) retry(tries + 1); }
    };
    row.append(cancel);
    timer = setInterval(tick, 250);
    tick();
  }
  failed = { chat: here, node };
  say(error.title + ' ' + (error.detail || '') + (error.wait && tries < 5 ? ` It is tried again in ${error.wait} seconds.` : ''));
}
async function askKey() {
  const key = await ask('API key', 'The key is kept until this tab closes, and sent to this server only.', 'Use it', { type: 'password', value: apiKey(), maxLength: 500 });
  if (key === null) return false;
  if (key.trim()) sessionStorage.setItem('siskin.key', key.trim()); else sessionStorage.removeItem('siskin.key');
  if (!loaded) models();
  return true;
}
async function models() {
  try {
    const list = await (await request('v1/models')).json(), before = localStorage.getItem('siskin.model');
    const ids = (Array.isArray(list.data) ? list.data : []).map(m => text(m && m.id, 200)).filter(Boolean);
    loaded = true;
    $('model').replaceChildren(...ids.map(id => el('option', { value: id, textContent: id })));
    if (ids.includes(before)) $('model').value = before;
    $('model').hidden = ids.length < 2;
    $('only').textContent = ids.length < 2 ? ids[0] || 'No model' : '';
    $('only').classList.remove('small');
  } catch (error) {
    $('only').textContent = error instanceof Problem ? error.title : 'No model';
    if (error.key && await askKey()) models();
    else if (error.again) setTimeout(models, 5000);
  }
}
function take(list) {
  const known = new Set(chats.map(c => c.id + c.updated)), ids = new Set(chats.map(c => c.id));
  let count = 0;
  for (const raw of (Array.isArray(list) ? list : []).slice(0, 5000)) {
    const c = chatFrom(raw);
    if (!c || known.has(c.id + c.updated)) continue;
    if (ids.has(c.id)) c.id = fresh();
    if (!save(c)) break;
    ids.add(c.id);
    count++;
  }
  chats = load();
  show(chats.find(c => c.id === chat.id) || newChat());
  return count;
}
$('export').addEventListener('click', () => {
  const file = new Blob([JSON.stringify({ siskin: 1, chats: keys().map(key => parse(localStorage[key])) }, null, 1)], { type: 'application/json' });
  const link = el('a', { href: URL.createObjectURL(file), download: 'siskin-conversations.json' });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
});
$('import').addEventListener('click', () => $('file').click());
$('file').addEventListener('change', async () => {
  const file = $('file').files[0], read = file && file.size <= 2 * MOST_STORED ? parse(await file.text()) : null;
  $('file').value = '';
  if (run) return;
  const words = read && Array.isArray(read.chats) ? `${take(read.chats)} imported` : 'Not a file of conversations';
  if (!$('kept').textContent.startsWith('Not saved')) $('kept').textContent = words;
  say(words);
});
$('ask').addEventListener('submit', e => { e.preventDefault(); send(); });
$('stop').addEventListener('click', () => { if (run) run.stop.abort(); });
$('new').addEventListener('click', () => { show(newChat()); drawer(false); $('question').value = ''; grow(); $('question').focus(); });
$('key').addEventListener('click', askKey);
$('question').addEventListener('input', grow);
$('question').addEventListener('keydown', e => {
  if (e.key !== 'Enter' || e.isComposing || e.shiftKey || (touch.matches && !e.ctrlKey)) return;
  e.preventDefault();
  send();
});
document.addEventListener('keydown', e => {
  if (e.key !== 'Escape' || $('box').open) return;
  if ($('side').classList.contains('out')) { drawer(false); $('menu').focus(); }
  else if (run) run.stop.abort();
  else if (editing) $('unedit').click();
});
$('model').addEventListener('change', () => localStorage.setItem('siskin.model', $('model').value));
const FIELDS = ['system', 'temperature', 'top_p', 'max_tokens', 'seed'], kept = parse(localStorage.getItem('siskin.settings')) || {};
for (const id of FIELDS) {
  $(id).value = text(kept[id], 20000);
  $(id).addEventListener('input', () => {
    try { localStorage.setItem('siskin.settings', JSON.stringify(Object.fromEntries(FIELDS.map(f => [f, $(f).value])))); } catch { /* Full. */ }
    state();
  });
}
addEventListener('pagehide', () => { if (run) { run.message.note = 'Incomplete.'; keep(run.chat); } });
addEventListener('storage', e => { // Another tab.
  if (run || !e.key || !e.key.startsWith(STORE)) return;
  chats = load();
  if (e.key !== STORE + chat.id) { chat = chats.find(c => c.id === chat.id) || chat; drawChats(); return; }
  show(chats.find(c => c.id === chat.id) || newChat());
});
show(chats[0] || newChat());
models();
if (!touch.matches) $('question').focus();
