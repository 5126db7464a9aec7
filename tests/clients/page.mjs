// The chat page in a real browser against a running server.
// BASE_URL: the server (http://127.0.0.1:8080). API_KEY: its key, if it has one. CHROMIUM: the browser (/usr/bin/chromium).
// SHOTS: a folder for screenshots, if wanted. Prints a line per check; the exit code is 1 if one failed.
import { chromium } from 'playwright-core';
import { hostile } from './hostile.mjs';

const base = (process.env.BASE_URL || 'http://127.0.0.1:8080').replace(/\/$/, '') + '/';
const key = process.env.API_KEY || '', shots = process.env.SHOTS;
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const slow = 120000;
let failed = 0;
async function check(name, run) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}: ${String(error.message || error).split('\n').slice(0, 3).join(' | ')}`);
  }
}
const must = (value, words) => { if (!value) throw new Error(words); };

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', headless: true, args: flags });
const outside = new Set(), complaints = [];
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15000);
  page.on('request', r => { if (/^(https?|wss?):/.test(r.url()) && !r.url().startsWith(base)) outside.add(r.url()); });
  page.on('pageerror', e => complaints.push(e.message));
  page.on('dialog', d => { complaints.push('a dialog: ' + d.message()); d.dismiss(); });
  page.on('console', m => { if (/Content Security Policy/.test(m.text())) complaints.push(m.text()); });
  if (key) await context.addInitScript(k => sessionStorage.setItem('siskin.key', k), key);
  await page.goto(base);
  return page;
}
const idle = page => page.waitForSelector('#send:not([hidden])', { timeout: slow });
const answers = page => page.locator('.assistant .md').allInnerTexts();
async function ask(page, text) {
  await page.fill('#question', text);
  await page.press('#question', 'Enter');
  await page.waitForFunction(() => document.querySelector('.assistant .md') && document.querySelector('.assistant:last-of-type .md > :not(.wait)')
    || document.querySelector('.problem'), null, { timeout: slow });
  const problem = page.locator('.problem');
  must(!await problem.count(), 'the page reports: ' + (await problem.allInnerTexts()).join(' '));
}
const shot = async (page, name) => { if (shots) await page.screenshot({ path: `${shots}/${name}.png` }); };
// The answer of the API for the page, without the server: an event stream with this text.
const stream = text => ['{"choices":[{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}]}',
  JSON.stringify({ choices: [{ index: 0, delta: { content: text }, finish_reason: null }] }),
  '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}', '[DONE]'].map(d => `data: ${d}\n\n`).join('');
const replace = (page, answer) => page.route('**/v1/chat/completions', route => route.fulfill(answer()));

const page = await open();
await check('the page loads and names a model', async () => {
  await page.waitForFunction(() => document.querySelector('#only').textContent || document.querySelectorAll('#model option').length > 1);
  must(!/No model|API key|not answer/.test(await page.textContent('#only')), await page.textContent('#only'));
});
await check('the server sends a strict policy', async () => {
  const headers = (await page.request.get(base)).headers(), policy = headers['content-security-policy'] || '';
  for (const part of ["default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "connect-src 'self'", "base-uri 'none'",
    "form-action 'none'", "frame-ancestors 'none'"]) must(policy.includes(part), `no ${part} in: ${policy}`);
  must(!policy.includes('unsafe'), policy);
  must(headers['x-content-type-options'] === 'nosniff' && headers['referrer-policy'] === 'no-referrer', 'headers');
});
await check('a question gets an answer as a stream, with its figures', async () => {
  await page.fill('#max_tokens', '24').catch(() => {});
  await page.evaluate(() => { const f = document.getElementById('max_tokens'); f.value = '24'; f.dispatchEvent(new Event('input')); });
  const body = page.waitForRequest(r => r.url().endsWith('/v1/chat/completions')).then(r => r.postDataJSON());
  await ask(page, 'Name three birds.');
  await idle(page);
  const sent = await body;
  must(sent.stream === true && sent.stream_options.include_usage === true && sent.max_tokens === 24, JSON.stringify(sent));
  must((await answers(page))[0].trim(), 'no text');
  must(/tokens\/s/.test(await page.locator('.assistant .stats').first().innerText()), 'no tokens/s');
  must(/prompt \d+/.test(await page.locator('.assistant .stats').first().innerText()), 'no size of the prompt');
  await page.waitForFunction(() => /^Answer: /.test(document.getElementById('say').textContent), null, { timeout: 2000 });
  await shot(page, 'answer');
});
await check('regenerate replaces the answer', async () => {
  await page.click('text=Regenerate');
  await page.waitForSelector('#stop:not([hidden])').catch(() => {});
  await idle(page);
  must((await answers(page)).length === 1, 'one answer');
});
await check('the last question can be edited', async () => {
  await page.click('.user >> text=Edit');
  must(await page.inputValue('#question') === 'Name three birds.', 'the question is in the box');
  await ask(page, 'Name three trees.');
  await idle(page);
  must((await page.locator('.user .text').allInnerTexts()).join() === 'Name three trees.', 'one question');
});
await check('Stop keeps what there is, and so does Esc', async () => {
  await page.evaluate(() => { const f = document.getElementById('max_tokens'); f.value = '400'; f.dispatchEvent(new Event('input')); });
  for (const how of ['button', 'key']) {
    await page.click('#new');
    await ask(page, 'Tell a very long story about a bird that crosses the sea.');
    if (how === 'button') await page.click('#stop', { timeout: 3000 }); else await page.keyboard.press('Escape');
    await page.waitForSelector('#send:not([hidden])', { timeout: 3000 });
    must(/Stopped\./.test(await page.locator('.assistant .tools').last().innerText()), `${how}: not stopped (did the answer end before?)`);
  }
});
await check('a question that was stopped before its answer can be asked again', async () => {
  const early = await open();
  let calls = 0;
  await early.route('**/v1/chat/completions', route => { calls += 1; return calls > 1 ? route.fulfill({ contentType: 'text/event-stream', body: stream('Now.') }) : undefined; });
  await early.fill('#question', 'Later?');
  await early.press('#question', 'Enter');
  await early.waitForSelector('.wait');
  await early.keyboard.press('Escape');
  await early.waitForSelector('#send:not([hidden])');
  must(!await early.locator('.assistant').count(), 'no empty answer');
  await early.click('text=Ask again');
  await early.waitForSelector('.md >> text=Now.');
  await early.context().close();
});
await check('the conversations are there after a reload', async () => {
  const before = await page.locator('#chats .open').allInnerTexts();
  must(before.length === 3, `three conversations: ${before}`);
  await page.reload();
  must((await page.locator('#chats .open').allInnerTexts()).join() === before.join(), 'the same list');
  await page.click('#chats li:last-child .open');
  must((await page.locator('.user .text').innerText()) === 'Name three trees.', 'the same question');
  must((await answers(page))[0].trim(), 'the same answer');
});
await check('a conversation is renamed and deleted', async () => {
  await page.click('#chats li:last-child button[aria-label^=Rename]');
  await page.fill('#box-input', 'Trees');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => [...document.querySelectorAll('#chats .open')].some(n => n.textContent === 'Trees'));
  await page.click('button[aria-label="Delete Trees"]');
  await page.click('#box-yes');
  await page.waitForFunction(() => document.querySelectorAll('#chats li').length === 2);
});
await check('exported conversations can be imported', async () => {
  const waiting = page.waitForEvent('download');
  await page.click('#export');
  const file = await (await waiting).path();
  const other = await open();
  await other.setInputFiles('#file', file);
  await other.waitForFunction(() => document.querySelectorAll('#chats li').length === 2);
  await other.context().close();
});
await check('at 360 pixels nothing is wider than the screen', async () => {
  const small = await open({ viewport: { width: 360, height: 740 }, colorScheme: 'dark' });
  await replace(small, () => ({ contentType: 'text/event-stream', body: stream('| a | b | c |\n|---|---|---|\n'
    + '| a long cell of a table | another long cell of a table | and one more |\n\n```\n' + 'x '.repeat(200) + '\n```\n\n' + 'y'.repeat(300)) }));
  await ask(small, 'w'.repeat(300));
  await idle(small);
  await shot(small, 'small');
  const wide = () => small.evaluate(() => [document.documentElement, document.getElementById('log')].some(n => n.scrollWidth > n.clientWidth));
  must(!await wide(), 'the conversation is too wide');
  await small.click('#menu');
  await small.waitForTimeout(300);
  await shot(small, 'menu');
  must(!await wide(), 'the menu is too wide');
  await small.keyboard.press('Escape');
  must(await small.evaluate(() => document.activeElement.id) === 'menu', 'the focus is back');
  await small.context().close();
});
await check('the keyboard is enough, and the focus can be seen', async () => {
  const keys = await open();
  await keys.waitForFunction(() => document.activeElement.id === 'question');
  await replace(keys, () => ({ contentType: 'text/event-stream', body: stream('Yes.') }));
  await keys.keyboard.type('Is it so?');
  await keys.keyboard.press('Enter');
  await keys.waitForSelector('.assistant .md p');
  await idle(keys);
  must(await keys.evaluate(() => document.activeElement.id) === 'question', 'the focus stays in the question');
  const reached = new Set();
  for (let n = 0; n < 40; n++) {
    await keys.keyboard.press('Tab');
    const at = await keys.evaluate(() => {
      const node = document.activeElement, name = node.ariaLabel || node.innerText || node.id;
      return { name, seen: node === document.body || getComputedStyle(node).outlineStyle !== 'none' };
    });
    must(at.seen, `no outline: ${at.name}`);
    reached.add(at.name);
  }
  for (const name of ['New chat', 'Regenerate', 'Edit', 'Copy', 'Export', 'Settings', 'Send', 'Rename Is it so?']) must(reached.has(name), `Tab does not reach ${name}`);
  await keys.context().close();
});
await check('every control has a name', async () => {
  const nameless = await page.evaluate(() => [...document.querySelectorAll('button, input, select, textarea')]
    .filter(n => !(n.ariaLabel || n.textContent.trim() || (n.labels && n.labels.length))).map(n => n.outerHTML));
  must(!nameless.length, nameless.join());
});
await check('errors are in plain words, and a busy server is asked again when it says', async () => {
  const odd = await open();
  const answers = [
    { status: 503, headers: { 'Retry-After': '1' }, json: { error: { message: 'full', code: 'queue_full' } } },
    { contentType: 'text/event-stream', body: stream('At last.') },
    { status: 400, json: { error: { message: 'x', n_prompt_tokens: 9000, n_ctx: 2048 } } },
    { status: 401, json: { error: { message: 'x' } } },
    { contentType: 'text/event-stream', body: 'data: {"choices":[{"delta":{"content":"Half"}}]}\n\n' },
  ];
  await replace(odd, () => answers.shift());
  const type = async text => { await odd.fill('#question', text); await odd.press('#question', 'Enter'); };
  await type('one');
  await odd.waitForSelector('.problem >> text=tried again in');
  await odd.waitForSelector('.md >> text=At last.', { timeout: 5000 });
  for (const [text, words] of [['two', /9000 tokens.*2048/], ['three', /wants an API key/], ['four', /ended before the answer/]]) {
    await type(text);
    await odd.waitForFunction(source => new RegExp(source).test(document.querySelector('.problem')?.innerText.replace(/\n/g, ' ') || ''), words.source);
    await idle(odd);
  }
  must(/Incomplete/.test(await odd.locator('.assistant .tools').last().innerText()), 'half an answer is marked');
  await odd.context().close();
});
await check('a full storage is reported, and what is there is kept', async () => {
  const full = await open();
  await full.evaluate(() => { localStorage['siskin.chat.fullfull'] = JSON.stringify({ id: 'fullfull', title: 'Full', updated: 1, messages: [{ role: 'user', content: 'z'.repeat(3.9e6) }] }); });
  await full.reload();
  await replace(full, () => ({ contentType: 'text/event-stream', body: stream('z'.repeat(200000)) }));
  await full.click('#new');
  await ask(full, 'more');
  await full.waitForFunction(() => /full/.test(document.getElementById('kept').textContent) && /not saved/.test(document.getElementById('state').textContent));
  must(await full.evaluate(() => Object.keys(localStorage).filter(k => k.startsWith('siskin.chat.')).join()) === 'siskin.chat.fullfull', 'only the old one is stored');
  await full.context().close();
});
await check(`nothing of ${hostile.length} hostile answers is executed`, async () => {
  const victim = await open({ viewport: { width: 360, height: 740 } });
  let now = '';
  await replace(victim, () => ({ contentType: 'text/event-stream', body: stream(now) }));
  for (now of hostile) {
    await victim.evaluate(() => document.getElementById('new').click());
    await victim.fill('#question', 'go');
    await victim.press('#question', 'Enter');
    await victim.waitForSelector('.assistant .stats, .assistant .tools button', { timeout: slow });
    const found = await victim.evaluate(() => ({
      tags: [...document.querySelectorAll('.md *')].map(n => n.tagName.toLowerCase()).filter(t => /^(script|img|svg|iframe|style|form|input|meta|base|link|object|embed)$/.test(t)),
      attributes: [...document.querySelectorAll('.md *')].flatMap(n => n.getAttributeNames()).filter(a => /^on|^style$|^src/.test(a)),
      links: [...document.querySelectorAll('.md a')].filter(a => !/^(https?|mailto):/.test(a.href) || a.rel !== 'noopener noreferrer').map(a => a.outerHTML),
      title: document.title, wide: document.documentElement.scrollWidth > 360, blocks: document.querySelectorAll('script, style').length,
    }));
    must(!found.tags.length && !found.attributes.length && !found.links.length && found.title === 'go · siskin' && !found.wide && found.blocks === 2,
      `${now.slice(0, 80)}: ${JSON.stringify(found)}`);
  }
  await victim.context().close();
});
await check('the page asks no other host, and no script failed', () => {
  must(!outside.size, [...outside].join());
  must(!complaints.length, complaints.join());
});
await browser.close();
process.exit(failed ? 1 : 0);
