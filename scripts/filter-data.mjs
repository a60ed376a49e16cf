// The mail from which the filter learns, read once: used by train.mjs (the content model) and fit.mjs (the weights of symbols).
import { createHash } from 'node:crypto';
import { parseMail } from '../dist/src/mail/parse.js';
import { featuresOf } from '../dist/src/pipeline/features.js';
import { rulesStage } from '../dist/src/pipeline/stages/rules.js';
import { envelopeOf } from '../dist/test/bench/filter-run.js';
import { businessMail } from '../dist/test/fixtures/business/index.js';
import { LAYOUTS } from '../dist/test/fixtures/business/layouts.js';
import { deviceMail, fraudMail } from '../dist/test/fixtures/raw/index.js';
import { spamMail } from '../dist/test/fixtures/spam/index.js';
import { corpusMail } from '../dist/test/support/corpus.js';

/**
 * Every message as {source, kind, name, isSpam, heldOut, fold, features, codes}: source is corpus, templates or raw (written out by hand), fold is 0 to 4
 * with all variants of a template in one, codes are the symbols that the rules find.
 */
export async function filterRows(wanted = () => true) {
  const rows = [];
  const add = async (mail, source, isSpam, kind, group) => {
    if (!wanted(mail)) return;
    const parsed = await parseMail(mail.raw);
    const envelope = envelopeOf(mail.raw.subarray(0, 65_536).toString('latin1'));
    rows.push({
      source,
      kind,
      isSpam,
      name: mail.name,
      heldOut: mail.heldOut,
      fold: foldOf(group),
      features: featuresOf(parsed),
      codes: rulesStage({ mail: parsed, envelope }).reasons.map((reason) => reason.code),
    });
  };
  let ham = 0;
  for (const mail of corpusMail()) {
    if (mail.isSpam || mail.heldOut || mail.name.startsWith('hard') || !wanted(mail)) continue;
    ham += 1;
    if (ham % 6 === 1) rows.push(...dressed(await parseMail(mail.raw), mail.name, ham));
  }
  for (const mail of corpusMail()) await add(mail, 'corpus', mail.isSpam, mail.name.split('/')[0], mail.name);
  for (const mail of businessMail()) await add(mail, 'templates', false, mail.kind, mail.name.replace(/-\d+$/, ''));
  for (const mail of spamMail()) await add(mail, 'templates', true, mail.kind, mail.name.replace(/-\d+$/, ''));
  for (const mail of deviceMail()) await add(mail, 'raw', false, 'device', mail.name);
  for (const mail of fraudMail()) await add(mail, 'raw', true, 'fraud', mail.name);
  return rows;
}

function foldOf(group) {
  return createHash('sha256').update(group).digest()[0] % 5;
}

const DATED = /^(?:list-|in-reply|references|x-mailer|user-agent|content-|precedence)/;

/**
 * The same words in a page of today. In the corpus HTML is spam and ham is text; without these a model takes the page for the spam.
 * They train the content model and count in nothing else: source `dressed`.
 */
function dressed(mail, name, index) {
  if (mail.text.length < 80) return [];
  const escaped = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
  const html = LAYOUTS[index % LAYOUTS.length]({
    title: escaped(mail.subject),
    preheader: '',
    company: escaped(mail.from[0]?.name || 'Team'),
    site: 'dressed.example',
    color: '#336699',
    paragraphs: mail.text
      .slice(0, 6000)
      .split(/\n\s*\n/)
      .slice(0, 30)
      .map(escaped),
    rows: [],
    button: null,
    footer: [],
    unsubscribe: null,
    logo: 'https://cdn.dressed.example/logo.png',
    pixel: '',
  });
  const headers = mail.headers.filter((header) => !DATED.test(header.name));
  const features = featuresOf({
    ...mail,
    html,
    text: index % 2 === 0 ? mail.text : '',
    htmlText: mail.text,
    headers: [...headers, { name: 'content-type', value: 'text/html; charset="utf-8"' }],
  });
  return [
    {
      source: 'dressed',
      kind: 'dressed',
      isSpam: false,
      name,
      heldOut: false,
      fold: foldOf(name),
      features,
      codes: [],
    },
  ];
}
