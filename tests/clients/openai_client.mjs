// The OpenAI client for JavaScript: chat, streams, tools, errors, and a request that is aborted.
import OpenAI from 'openai';

const base = (process.env.BASE_URL || 'http://127.0.0.1:8080').replace(/\/$/, ''), key = process.env.API_KEY || '';
const client = new OpenAI({ baseURL: base + '/v1', apiKey: key || 'none', maxRetries: 0, timeout: 300000 });
const messages = [{ role: 'user', content: 'Name a bird.' }];
const weather = { type: 'object', properties: { city: { type: 'string', enum: ['Oslo', 'Lima'] }, days: { type: 'integer', minimum: 1, maximum: 7 } }, required: ['city', 'days'], additionalProperties: false };
const tools = [{ type: 'function', function: { name: 'weather', description: 'The weather of a city', parameters: weather } }];
let failed = 0;
async function check(name, run) {
  const begun = Date.now();
  try {
    const note = await run();
    console.log(`ok ${name} (${((Date.now() - begun) / 1000).toFixed(1)} s${note ? ', ' + note : ''})`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}: ${error.constructor.name}: ${String(error.message).slice(0, 600)}`);
  }
}
const must = (value, words) => { if (!value) throw new Error(typeof words === 'string' ? words : JSON.stringify(words)); };
const model = process.env.MODEL || (await client.models.list()).data[0].id;
const chat = (more, options) => client.chat.completions.create({ model, messages, max_tokens: 12, ...more }, options);
const processing = async () => {
  const text = await (await fetch(base + '/metrics', { headers: key ? { Authorization: 'Bearer ' + key } : {} })).text();
  return Number(/^siskin_requests_processing(?:\{[^}]*\})? (\S+)$/m.exec(text)[1]);
};

await check('chat: an answer and its usage', async () => {
  const answer = await chat();
  must(typeof answer.choices[0].message.content === 'string' && answer.usage.total_tokens > 0, answer);
});
await check('stream: the same text, with a usage chunk', async () => {
  let text = '', usage = null;
  for await (const chunk of await chat({ stream: true, temperature: 0, seed: 1, stream_options: { include_usage: true } })) {
    text += chunk.choices[0]?.delta?.content || '';
    usage = chunk.usage || usage;
  }
  must(usage.completion_tokens > 0, usage);
  must(text === (await chat({ temperature: 0, seed: 1 })).choices[0].message.content, text);
});
await check('stream helper: finalChatCompletion', async () => {
  const answer = await client.chat.completions.stream({ model, messages, max_tokens: 12 }).finalChatCompletion();
  must(answer.choices[0].finish_reason, answer);
});
await check('tools: required gives a call that fits', async () => {
  const answer = await client.chat.completions.stream({ model, messages, tools, tool_choice: 'required', parallel_tool_calls: false, max_tokens: 100 }).finalChatCompletion();
  const call = answer.choices[0].message.tool_calls[0], args = JSON.parse(call.function.arguments);
  must(call.function.name === 'weather' && ['Oslo', 'Lima'].includes(args.city) && Number.isInteger(args.days), call);
});
await check('abort: the iteration ends and the server stops computing', async () => {
  const control = new AbortController();
  const stream = await chat({ stream: true, max_tokens: 1500, messages: [{ role: 'user', content: 'Tell a very long story.' }] }, { signal: control.signal });
  let pieces = 0;
  try {
    for await (const chunk of stream) if (chunk.choices[0]?.delta?.content && ++pieces === 3) control.abort();
  } catch (error) { if (!(error instanceof OpenAI.APIUserAbortError) && error.name !== 'AbortError') throw error; }
  must(pieces >= 3, `${pieces} pieces: the answer ended before`);
  const begun = Date.now();
  while (await processing() > 0) must(Date.now() - begun < 5000, 'still computed after 5 s');
  return `idle after ${Date.now() - begun} ms`;
});
await check('abort before the first token', async () => {
  const control = new AbortController();
  setTimeout(() => control.abort(), 50);
  await chat({ max_tokens: 1500, messages: [{ role: 'user', content: 'bird '.repeat(800) }] }, { signal: control.signal }).then(
    () => { throw new Error('it ended within 50 ms'); }, error => must(error instanceof OpenAI.APIUserAbortError, error.name));
  const begun = Date.now();
  while (await processing() > 0) must(Date.now() - begun < 5000, 'still computed after 5 s');
  return `idle after ${Date.now() - begun} ms`;
});
await check('errors: 400, 404', async () => {
  for (const [kind, more] of [[OpenAI.BadRequestError, { temperature: -1 }], [OpenAI.NotFoundError, { model: 'no-such-model' }]]) {
    await chat(more).then(() => { throw new Error('accepted'); }, error => must(error instanceof kind && error.message, `${error.constructor.name} ${error.message}`));
  }
});
await check('embeddings', async () => {
  const got = await client.embeddings.create({ model, input: ['a bird', 'a tree'] });
  must(got.data.length === 2 && Math.abs(got.data[0].embedding.reduce((sum, x) => sum + x * x, 0) - 1) < 1e-3, got.data.length);
});
await check('responses: a stream of events', async () => {
  const kinds = [];
  for await (const event of await client.responses.create({ model, input: 'Name a bird.', max_output_tokens: 12, stream: true })) kinds.push(event.type);
  must(kinds[0] === 'response.created' && /^response\.(completed|incomplete)$/.test(kinds.at(-1)), kinds);
});
process.exit(failed ? 1 : 0);
