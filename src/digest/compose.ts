import type { Brand } from '../accounts/branding.ts';
import { printable } from '../core/address.ts';
import { mayRelease, type QuarantineRole } from '../quarantine/rights.ts';
import { reasonWords, verdictWords } from '../quarantine/words.ts';
import { inkOn, readableOn } from './colors.ts';
import type { HeldMail } from './held.ts';
import { type Html, html } from './html.ts';
import type { LinkAction } from './links.ts';
import type { Words } from './words.ts';

export interface DigestContent {
  /** Newest first, at most `ROWS_MAX`. */
  readonly rows: readonly HeldMail[];
  /** Held mail beyond the rows. */
  readonly more: number;
  /** Whose mail it is: an address or a name. */
  readonly whose: string;
  /** Several mailboxes: each row says whose it is. */
  readonly showRecipient: boolean;
  /** Of whoever gets it: what may be let out by its links. */
  readonly role: QuarantineRole;
  readonly zone: string;
  readonly expiresAt: Date;
  readonly brand: Brand;
  readonly words: Words;
  /** Address of a link for one delivery, or for the whole quarantine. */
  link(action: LinkAction, deliveryId: string | null): string;
}

/** Rows of one digest. */
export const ROWS_MAX = 100;
const WHITE = '#ffffff';
const INK = '#1c2430';
const SOFT = '#5a6472';
const LINE = '#d9dee5';
const SUBJECT_MAX = 140;

export function when(at: Date, zone: string, words: Words): string {
  return new Intl.DateTimeFormat(words.locale, {
    timeZone: zone,
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    timeZoneName: 'short',
  }).format(at);
}

/** Who a message says it is from. */
export function senderWords(mail: Pick<HeldMail, 'fromName' | 'fromAddress' | 'sender'>, words: Words): string {
  const address = mail.fromAddress || mail.sender;
  if (address === '') return words.digest.noSender;
  return mail.fromName === '' || mail.fromName === address ? address : `${printable(mail.fromName, 80)} <${address}>`;
}

export function subjectWords(mail: Pick<HeldMail, 'subject'>, words: Words): string {
  return mail.subject.trim() === '' ? words.digest.noSubject : printable(mail.subject, SUBJECT_MAX);
}

/** One line: what was found, and the first two reasons. */
export function whyWords(mail: Pick<HeldMail, 'verdict' | 'reasons'>): string {
  const reasons = reasonWords(mail.reasons).slice(0, 2);
  const what = verdictWords(mail.verdict);
  return printable(reasons.length === 0 ? what : `${what}: ${reasons.join('; ')}`, 240);
}

const ROW_ACTIONS = ['view', 'release', 'allow', 'block', 'delete'] as const;

function actionsFor(mail: HeldMail, role: QuarantineRole): (typeof ROW_ACTIONS)[number][] {
  const isOpen = mayRelease(role, mail);
  return ROW_ACTIONS.filter((action) => isOpen || (action !== 'release' && action !== 'allow'));
}

export function subjectLine({ rows, more, whose, words }: DigestContent): string {
  const count = rows.length + more;
  return count === 0 ? words.digest.emptySubject(whose) : words.digest.subject(count, whose);
}

export function textPart(content: DigestContent): string {
  const { rows, more, whose, words, zone, link } = content;
  const { digest } = words;
  const lines = [content.brand.partnerName, '', introOf(content), ''];
  for (const mail of rows) {
    lines.push(subjectWords(mail, words), `  ${digest.from}: ${senderWords(mail, words)}`);
    if (content.showRecipient) lines.push(`  ${digest.to}: ${mail.recipient}`);
    lines.push(`  ${digest.received}: ${when(mail.acceptedAt, zone, words)}`, `  ${digest.reason}: ${whyWords(mail)}`);
    if (!mayRelease(content.role, mail)) lines.push(`  ${digest.noRelease}`);
    // One link per message: five of them would bury what the message is.
    lines.push(`  ${digest.actions.view}: ${link('view', mail.id)}`, '');
  }
  if (more > 0) lines.push(digest.more(more), '');
  lines.push(`${digest.open} (${whose}):`, link('list', null), '', digest.never);
  lines.push(digest.expires(when(content.expiresAt, zone, words)), '');
  return lines.join('\n');
}

function introOf({ rows, more, whose, words }: DigestContent): string {
  const count = rows.length + more;
  return count === 0 ? words.digest.nothing(whose) : words.digest.intro(count, whose);
}

/** Tables and inline styles: what mail programs show alike. No script, no remote picture, no style sheet to be fetched. */
export function htmlPart(content: DigestContent): string {
  const { rows, more, words, zone, brand, link } = content;
  const { digest } = words;
  const accent = readableOn(brand.primaryColor, WHITE);
  const font = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";
  const logo =
    brand.logo === null
      ? null
      : html`<img src="cid:logo" alt="" height="32" style="height:32px;max-width:160px;border:0;vertical-align:middle;margin-right:12px">`;
  const button = html`<table role="presentation" cellpadding="0" cellspacing="0" border="0"><tr><td style="background:${brand.primaryColor};border-radius:6px"><a href="${link('list', null)}" style="display:inline-block;padding:10px 18px;${font};font-size:15px;font-weight:600;color:${inkOn(brand.primaryColor)};text-decoration:none">${digest.open}</a></td></tr></table>`;
  const page = html`<!doctype html>
<html lang="${words.locale}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<title>${digest.heading}</title>
</head>
<body style="margin:0;padding:0;background:#f2f4f7">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="background:#f2f4f7"><tr><td align="center" style="padding:20px 10px">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="max-width:680px;background:${WHITE};border:1px solid ${LINE};border-radius:8px">
<tr><td style="background:${brand.primaryColor};color:${inkOn(brand.primaryColor)};padding:16px 24px;${font};font-size:17px;font-weight:600;border-radius:8px 8px 0 0">${logo}${brand.partnerName}</td></tr>
<tr><td style="padding:24px;${font};color:${INK}">
<h1 style="margin:0 0 8px;font-size:20px;line-height:1.3">${digest.heading}</h1>
<p style="margin:0 0 16px;font-size:15px;line-height:1.5">${introOf(content)}</p>
${button}
</td></tr>
${rows.map(
  (
    mail,
  ) => html`<tr><td style="padding:16px 24px;border-top:1px solid ${LINE};${font};color:${INK};font-size:14px;line-height:1.5">
<div style="font-size:15px;font-weight:600;word-break:break-word"><a href="${link('view', mail.id)}" style="color:${INK};text-decoration:none">${subjectWords(mail, words)}</a></div>
<div style="word-break:break-word">${senderWords(mail, words)}</div>
${content.showRecipient ? html`<div style="word-break:break-word;color:${SOFT}">${digest.to}: ${mail.recipient}</div>` : null}
<div style="color:${SOFT}">${when(mail.acceptedAt, zone, words)}</div>
<div style="color:${SOFT};word-break:break-word">${whyWords(mail)}</div>
${mayRelease(content.role, mail) ? null : html`<div style="color:#8a1f11">${digest.noRelease}</div>`}
<div style="padding-top:6px">${actionLinks(mail, content, accent)}</div>
</td></tr>
`,
)}${more > 0 ? html`<tr><td style="padding:16px 24px;border-top:1px solid ${LINE};${font};font-size:15px"><a href="${link('list', null)}" style="color:${accent}">${digest.more(more)}</a></td></tr>` : null}
<tr><td style="padding:16px 24px 24px;border-top:1px solid ${LINE};${font};color:${SOFT};font-size:13px;line-height:1.5">
<p style="margin:0 0 6px">${digest.never}</p>
<p style="margin:0">${digest.expires(when(content.expiresAt, zone, words))}</p>
</td></tr>
</table>
</td></tr></table>
</body>
</html>
`;
  return page.text;
}

function actionLinks(mail: HeldMail, { link, words, role }: DigestContent, accent: string): Html[] {
  return actionsFor(mail, role).map(
    (action) =>
      html`<a href="${link(action, mail.id)}" style="display:inline-block;padding:4px 14px 4px 0;color:${accent};text-decoration:underline">${words.digest.actions[action]}</a> `,
  );
}
