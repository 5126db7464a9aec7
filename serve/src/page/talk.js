// The API: a request, its stream, and what went wrong in words.
class Problem extends Error {
  constructor(title, detail, more) { super(title); Object.assign(this, { title, detail }, more); }
}
const GONE = () => new Problem('The server does not answer.', 'It may be starting, stopped, or out of reach. Look at its log: journalctl -u siskin', { again: true });
const apiKey = () => sessionStorage.getItem('siskin.key') || '';
async function request(path, body, signal) {
  const headers = {};
  if (body) headers['Content-Type'] = 'application/json';
  if (apiKey()) headers.Authorization = 'Bearer ' + apiKey();
  let answer;
  try {
    answer = await fetch(path, { method: body ? 'POST' : 'GET', headers, body: body && JSON.stringify(body), signal, credentials: 'omit', cache: 'no-store' });
  } catch (error) { throw error.name === 'AbortError' ? error : GONE(); }
  if (answer.ok) return answer;
  throw problem(answer.status, parse(await answer.text().catch(() => '')), answer.headers);
}
function problem(status, body, headers) {
  const error = (body && body.error) || {}, said = text(error.message || (body && body.error), 1000);
  const of = (title, more) => new Problem(title, said, { status, ...more });
  if (number(error.n_prompt_tokens) && number(error.n_ctx)) {
    const fit = number(error.max_tokens_that_fit), short = fit > 0 && error.n_prompt_tokens < error.n_ctx;
    return new Problem(short ? 'There is not enough room for an answer of that length.' : 'This conversation is too long for the model.',
      `It has ${error.n_prompt_tokens} tokens, and the context has ${error.n_ctx}. ` + (short ? `Ask for at most ${fit} tokens in Settings.` : 'Start a new chat.'), { status });
  }
  if (status === 401) return of('The server wants an API key.', { key: true });
  if (status === 403) return of('The server does not allow this.');
  if (status === 404) return of('The server does not have this model.', { again: true });
  if (status === 413) return of('The message is too long for the server.');
  if (status === 429 || status === 503) {
    const seconds = Math.ceil(parseFloat(headers.get('Retry-After')));
    const wait = seconds >= 0 && headers.get('x-should-retry') !== 'false' ? Math.max(1, seconds) : undefined;
    return of(status === 429 ? 'Too many requests at once.' : { loading: 'The model is being loaded.', draining: 'The server is stopping.' }[error.code] || 'The server is busy.', { wait, again: true });
  }
  if (status >= 500) return new Problem('The server made a mistake.', [said, headers.get('x-request-id') && 'Request ' + headers.get('x-request-id')].filter(Boolean).join(' · '), { status, again: true });
  return of('The server refused the request.');
}
// Server-sent events: {comment} for a line that begins with a colon, {data} for an event.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '', data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split('\n');
      rest = lines.pop();
      if (rest.length > 4e6) throw new Problem('The answer has a line without an end.', '');
      for (const raw of lines) {
        const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
        if (line === '') { if (data.length) yield { data: data.join('\n') }; data = []; }
        else if (line[0] === ':') yield { comment: line.slice(1).trim() };
        else if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''));
      }
    }
  } finally { reader.cancel().catch(() => {}); }
}
function progress(comment) {
  const queue = /^queue (\d{1,6})(?:, about (\d{1,6}) s)?/.exec(comment), prompt = /^prompt (\d{1,9})\/(\d{1,9})/.exec(comment);
  if (queue) {
    const before = +queue[1], words = before === 0 ? 'Next in the queue' : before === 1 ? 'One request comes before this one' : `${before} requests come before this one`;
    return { words: words + (+queue[2] ? `, about ${queue[2]} s` : '') };
  }
  if (prompt) return { words: `Reading the prompt: ${prompt[1]} of ${prompt[2]} tokens`, done: +prompt[1], of: +prompt[2] };
  return null;
}
function figures(timings, usage, first) {
  const t = timings || {}, u = usage || {}, out = [], rate = number(t.predicted_per_second);
  const count = number(u.completion_tokens) ?? number(t.predicted_n), cached = number(t.cache_n) ?? number((u.prompt_tokens_details || {}).cached_tokens);
  const read = number(u.prompt_tokens) ?? (number(t.prompt_n) === undefined ? undefined : t.prompt_n + (cached || 0));
  if (count !== undefined) out.push(count + (count === 1 ? ' token' : ' tokens'));
  if (rate) out.push(rate.toFixed(1) + ' tokens/s');
  if (read !== undefined) out.push(`prompt ${read}` + (cached ? `, ${cached} cached` : ''));
  if (first !== undefined) out.push('first after ' + (first / 1000).toFixed(1) + ' s');
  if (t.queue_ms > 500) out.push('queued ' + (t.queue_ms / 1000).toFixed(1) + ' s');
  if (t.throttled === true) out.push('slowed down by heat');
  return out.join(' · ');
}
// One answer, into `message`; `shown` is called after each change.
async function talk(body, message, signal, shown) {
  const begun = performance.now();
  const answer = await request('v1/chat/completions', body, signal);
  let timings, usage, first, reason;
  for await (const event of events(answer.body)) {
    if (event.comment !== undefined) {
      const step = progress(event.comment);
      if (step && !message.content) { message.step = step; shown(); }
      continue;
    }
    if (event.data === '[DONE]') { reason = reason || 'stop'; break; }
    const chunk = parse(event.data);
    if (!chunk) throw new Problem('The server sent something that is not JSON.', event.data.slice(0, 200));
    if (chunk.error) throw problem(number(chunk.error.code) || ({ draining: 503, queue_full: 503, loading: 503 }[chunk.error.code] || 500), chunk, new Headers());
    timings = chunk.timings || timings;
    usage = chunk.usage || usage;
    const choice = (chunk.choices || [])[0];
    if (!choice) continue;
    const piece = choice.delta && choice.delta.content;
    if (typeof piece === 'string' && piece) {
      first ??= performance.now() - begun;
      message.content += piece;
      shown();
    }
    reason = choice.finish_reason || reason;
  }
  message.stats = figures(timings, usage, first);
  if (!reason) throw new Problem('The connection ended before the answer did.', '', { again: true });
  if (reason === 'length') message.note = 'It ends here because it reached the most tokens.';
}
