// The mail from which the filter learns, read once: used by train.mjs (the content model) and fit.mjs (the weights of symbols).
import { createHash } from 'node:crypto';
import { parseMail } from '../dist/src/mail/parse.js';
import { featuresOf } from '../dist/src/pipeline/features.js';
import { rulesStage } from '../dist/src/pipeline/stages/rules.js';
import { envelopeOf } from '../dist/test/bench/filter-run.js';
import { businessMail } from '../dist/test/fixtures/business/index.js';
import { spamMail } from '../dist/test/fixtures/spam/index.js';
import { corpusMail } from '../dist/test/support/corpus.js';

/**
 * Every message as {source, kind, name, isSpam, heldOut, fold, features, codes}: source is corpus or templates, fold is 0 to 4
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
      fold: createHash('sha256').update(group).digest()[0] % 5,
      features: featuresOf(parsed),
      codes: rulesStage({ mail: parsed, envelope }).reasons.map((reason) => reason.code),
    });
  };
  for (const mail of corpusMail()) await add(mail, 'corpus', mail.isSpam, mail.name.split('/')[0], mail.name);
  for (const mail of businessMail()) await add(mail, 'templates', false, mail.kind, mail.name.replace(/-\d+$/, ''));
  for (const mail of spamMail()) await add(mail, 'templates', true, mail.kind, mail.name.replace(/-\d+$/, ''));
  return rows;
}
