// What is on the screen.
let chats = load(), chat, run = null, editing = false, failed = null, loaded = false, unsaved = false;
const say = words => { $('say').textContent = ''; setTimeout(() => { $('say').textContent = words; }, 50); };
const newChat = () => ({ id: fresh(), title: 'New chat', updated: 0, messages: [] });
const touch = matchMedia('(pointer: coarse)');

// Asks in a dialog; the browser keeps the focus in it. Gives null, true, or the text.
function ask(title, words, yes, input) {
  $('box-title').textContent = $('box-label').textContent = title;
  $('box-text').textContent = words;
  $('box-yes').textContent = yes;
  $('box-input').hidden = !input;
  if (input) Object.assign($('box-input'), input);
  $('box').returnValue = '';
  $('box').showModal();
  if (input) $('box-input').select();
  return new Promise(give => $('box').addEventListener('close', () => {
    const value = $('box-input').value;
    $('box-input').value = '';
    give($('box').returnValue !== 'yes' ? null : input ? value : true);
  }, { once: true }));
}
$('box-yes').addEventListener('click', () => $('box').close('yes'));
$('box-no').addEventListener('click', () => $('box').close(''));
$('box-input').addEventListener('keydown', e => { if (e.key === 'Enter') { e.preventDefault(); $('box').close('yes'); } });

function drawChats() {
  $('chats').replaceChildren(...chats.map(c => {
    const open = el('button', { type: 'button', className: 'open', textContent: c.title, title: c.title });
    if (c === chat) open.ariaCurrent = 'true';
    open.addEventListener('click', () => { show(c); drawer(false); $('question').focus(); });
    return el('li', { className: c === chat ? 'now' : '' }, open,
      button('✎', () => rename(c), { ariaLabel: 'Rename ' + c.title, title: 'Rename' }),
      button('✕', () => remove(c), { ariaLabel: 'Delete ' + c.title, title: 'Delete' }));
  }));
}
async function rename(c) {
  const title = await ask('Rename the conversation', '', 'Rename', { type: 'text', value: c.title, maxLength: 200 });
  if (title && title.trim()) { c.title = title.trim(); save(c); }
  drawChats();
  $('new').focus();
}
async function remove(c) {
  if (!await ask('Delete the conversation?', c.title, 'Delete')) return;
  if (run && run.chat === c) run.stop.abort();
  localStorage.removeItem(STORE + c.id);
  chats = chats.filter(other => other !== c);
  $('kept').textContent = '';
  if (c === chat) show(newChat()); else drawChats();
  say('Deleted');
  $('new').focus();
}
function show(c) {
  chat = c;
  failed = null;
  edit(false);
  drawChats();
  $('log').replaceChildren(...(c.messages.length ? c.messages.map(draw) : [hello()]));
  tools();
  $('log').scrollTop = $('log').scrollHeight;
  document.title = c.messages.length ? c.title + ' · siskin' : 'siskin';
}
const hello = () => el('div', { className: 'hello' }, el('h2', { textContent: 'What would you like to know?' }),
  el('p', { textContent: 'A small model answers on this server. It makes mistakes: check what matters.' }));
function draw(message) {
  const node = el('article', { className: 'msg ' + message.role }, el('h2', { textContent: message.role === 'user' ? 'You' : 'Answer' }));
  message.node = node;
  node.append(el('div', { className: message.role === 'user' ? 'text' : 'md', dir: 'auto' }), el('div', { className: 'tools' }));
  fillIn(message);
  return node;
}
function fillIn(message) {
  const [, body] = message.node.children;
  if (message.role === 'user') body.textContent = message.content;
  else if (message.content) markdown(body, message.content);
  else if (run && run.message === message) {
    const step = message.step || { words: 'Waiting' }, bar = body.querySelector('progress');
    if (bar && step.of) { bar.max = step.of; bar.value = step.done; bar.previousSibling.textContent = step.words; return; }
    body.replaceChildren(el('p', { className: 'wait' }, el('span', { className: step.of ? '' : 'dots', textContent: step.words })));
    if (step.of) body.firstChild.append(el('progress', { max: step.of, value: step.done, ariaLabel: 'Prompt' }));
  } else body.replaceChildren();
}
// The buttons below the messages, what failed, and the state of the form.
function tools() {
  const last = chat.messages.at(-1), mine = chat.messages.findLast(m => m.role === 'user');
  for (const message of chat.messages) {
    const bar = message.node.lastChild, busy = run && run.message === message;
    const had = bar.contains(document.activeElement) && document.activeElement.textContent;
    bar.replaceChildren();
    if (busy) continue;
    if (message.content) bar.append(button('Copy', e => copy(message.content, e.currentTarget)));
    if (message === last && !run && message.role === 'assistant') bar.append(button('Regenerate', regenerate));
    if (message === mine && !run) bar.append(button('Edit', () => edit(true)));
    if (message === last && !run && message.role === 'user') bar.append(button('Ask again', regenerate));
    if (message.stats) bar.append(el('span', { className: 'stats', textContent: message.stats }));
    if (message.note) bar.append(el('span', { className: 'stats', textContent: message.note }));
    if (had) (Array.from(bar.children).find(b => b.textContent === had) || $('question')).focus();
  }
  $('log').querySelectorAll('.problem').forEach(n => n.remove());
  if (failed && failed.chat === chat) $('log').append(failed.node);
  $('send').hidden = !!run;
  $('stop').hidden = !run;
  state();
}
function state() {
  const set = ['temperature', 'top_p', 'max_tokens', 'seed'].filter(id => $(id).value !== '').map(id => `${id} ${$(id).value}`);
  if ($('system').value.trim()) set.unshift('system prompt');
  const keys = run ? 'Esc stops' : touch.matches ? '' : 'Enter sends, Shift+Enter begins a line';
  $('state').textContent = [unsaved ? 'This conversation is not saved: the storage is full' : '', keys, ...set].filter(Boolean).join(' · ');
}
const near = () => $('log').scrollHeight - $('log').scrollTop - $('log').clientHeight < 80;
function follow(stay) { // Keeps the newest line in view, unless the reader went up.
  if (stay) $('log').scrollTop = $('log').scrollHeight;
  $('newest').hidden = near();
}
$('log').addEventListener('scroll', () => follow(false), { passive: true });
$('newest').addEventListener('click', () => { follow(true); $('question').focus(); });

function edit(on) {
  editing = on;
  $('editing').hidden = !on;
  if (on) {
    $('question').value = chat.messages.findLast(m => m.role === 'user').content;
    $('question').focus();
  }
  grow();
}
$('unedit').addEventListener('click', () => { $('question').value = ''; edit(false); $('question').focus(); });
function grow() {
  const box = $('question');
  box.rows = 1; // A style attribute is not allowed here, rows are.
  while (box.scrollHeight > box.clientHeight + 2 && box.rows < 10) box.rows++;
}
function drawer(open) {
  $('side').classList.toggle('out', open);
  $('menu').ariaExpanded = String(open);
  $('main').inert = open;
  if (open) $('new').focus();
}
$('menu').addEventListener('click', () => drawer(true));
$('shade').addEventListener('click', () => { drawer(false); $('menu').focus(); });
