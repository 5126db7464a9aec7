// Conversations: one key of localStorage each, so that two tabs do not overwrite each other's.
const STORE = 'siskin.chat.', MOST_STORED = 4e6;
const text = (value, most) => (typeof value === 'string' ? value.slice(0, most) : '');
const number = value => (typeof value === 'number' && isFinite(value) ? value : undefined);
function chatFrom(raw) { // From a file or storage, which anybody may have written.
  if (!raw || typeof raw !== 'object' || !Array.isArray(raw.messages)) return null;
  const messages = raw.messages.slice(0, 2000).filter(m => m && (m.role === 'user' || m.role === 'assistant'))
    .map(m => ({ role: m.role, content: text(m.content, 1e6), note: text(m.note, 500), stats: text(m.stats, 500) }));
  return { id: /^[a-z0-9]{6,32}$/.test(raw.id) ? raw.id : fresh(), title: text(raw.title, 200) || 'Chat', updated: number(raw.updated) || 0, messages };
}
const fresh = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), n => n.toString(36)).join('').slice(0, 24);
const parse = json => { try { return JSON.parse(json); } catch { return null; } };
const keys = () => Object.keys(localStorage).filter(key => key.startsWith(STORE));
const stored = () => keys().reduce((sum, key) => sum + localStorage[key].length, 0);
const load = () => keys().map(key => chatFrom(parse(localStorage[key]))).filter(Boolean).sort((a, b) => b.updated - a.updated);
function save(chat) {
  const json = JSON.stringify(chat), key = STORE + chat.id;
  try {
    if (stored() - (localStorage[key] || '').length + json.length > MOST_STORED) throw new Error();
    localStorage[key] = json;
    return true;
  } catch {
    $('kept').textContent = 'Not saved: full (4 MB). Export or delete some.';
    return false;
  }
}
