import type { Brand } from '../accounts/branding.ts';
import { printable } from '../core/address.ts';
import { mayRelease, type QuarantineRole } from '../quarantine/rights.ts';
import { heldWords, reasonWords } from '../quarantine/words.ts';
import { inkOn, readableOn } from './colors.ts';
import type { HeldMail } from './held.ts';
import { Html, html } from './html.ts';
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
const FONT = "-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";
const LIGHT = { page: '#f2f4f7', card: '#ffffff', line: '#d9dee5', ink: '#1c2430', soft: '#56606d', warn: '#8a1f11' };
const DARK = { page: '#0f1318', card: '#171c23', line: '#333c47', ink: '#e7ebf0', soft: '#a6b0bc', warn: '#ff9d8c' };
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
  const what = heldWords(mail.verdict, mail.reasons);
  const listed = mail.reasons.filter((one) => one.code === 'list.block');
  // Of what a list blocks the list is the reason, and points that it also had are not.
  const reasons = reasonWords(what === 'Blocked' ? listed : mail.reasons).slice(0, 2);
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

/**
 * Tables, and one block of styles in the head: each row stays small, since mail programs cut mail of more than 100 kB. No
 * script, no remote picture, no style sheet to be fetched. Where styles are dropped it still reads in order.
 */
export function htmlPart(content: DigestContent): string {
  const { rows, more, words, zone, brand, link } = content;
  const { digest } = words;
  const logo = brand.logo === null ? null : html`<img src="cid:logo" alt="" height="32" class="logo">`;
  const page = html`<!doctype html>
<html lang="${words.locale}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${digest.heading}</title>
<style>${new Html(styles(brand))}</style>
</head>
<body>
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" class="page"><tr><td align="center" class="edge">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" class="card">
<tr><td class="top" bgcolor="${brand.primaryColor}">${logo}${brand.partnerName}</td></tr>
<tr><td class="row">
<h1>${digest.heading}</h1>
<p>${introOf(content)}</p>
<table role="presentation" cellpadding="0" cellspacing="0" border="0"><tr><td class="go" bgcolor="${brand.primaryColor}"><a href="${link('list', null)}">${digest.open}</a></td></tr></table>
</td></tr>
${rows.map(
  (mail) => html`<tr><td class="row">
<div class="what">${subjectWords(mail, words)}</div>
<div>${senderWords(mail, words)}</div>
${content.showRecipient ? html`<div class="soft">${digest.to}: ${mail.recipient}</div>` : null}
<div class="soft">${when(mail.acceptedAt, zone, words)}</div>
<div class="soft">${whyWords(mail)}</div>
${mayRelease(content.role, mail) ? null : html`<div class="warn">${digest.noRelease}</div>`}
<div class="do">${actionLinks(mail, content)}</div>
</td></tr>
`,
)}${more > 0 ? html`<tr><td class="row"><a href="${link('list', null)}">${digest.more(more)}</a></td></tr>` : null}
<tr><td class="row foot">
<p>${digest.never}</p>
<p>${digest.expires(when(content.expiresAt, zone, words))}</p>
</td></tr>
</table>
</td></tr></table>
</body>
</html>
`;
  return page.text;
}

function actionLinks(mail: HeldMail, { link, words, role }: DigestContent): Html[] {
  return actionsFor(mail, role).map(
    (action) => html`<a href="${link(action, mail.id)}">${words.digest.actions[action]}</a> `,
  );
}

/** Colours are checked when a brand is stored; nothing else of anybody's gets in here. */
function styles({ primaryColor }: Brand): string {
  const ink = inkOn(primaryColor);
  return `
body{margin:0;padding:0}
.page{background:${LIGHT.page}}
.edge{padding:20px 10px}
.card{max-width:680px;background:${LIGHT.card};border:1px solid ${LIGHT.line};border-radius:8px;text-align:left}
.top{background:${primaryColor};color:${ink};padding:16px 24px;font:600 17px/1.4 ${FONT};border-radius:8px 8px 0 0}
.logo{height:32px;max-width:160px;border:0;vertical-align:middle;margin-right:12px}
.row{padding:18px 24px;border-top:1px solid ${LIGHT.line};color:${LIGHT.ink};font:14px/1.5 ${FONT};word-break:break-word}
h1{margin:0 0 8px;font-size:20px;line-height:1.3}
p{margin:0 0 14px;font-size:15px}
a{color:${readableOn(primaryColor, LIGHT.card)}}
.go{background:${primaryColor};border-radius:6px}
.go a{display:inline-block;padding:10px 18px;font:600 15px/1.4 ${FONT};color:${ink};text-decoration:none}
.what{font-size:15px;font-weight:600}
.soft,.foot{color:${LIGHT.soft}}
.foot p{margin:0 0 6px;font-size:13px}
.warn{color:${LIGHT.warn}}
.do{padding-top:6px}
.do a{display:inline-block;padding:4px 14px 4px 0}
@media (prefers-color-scheme:dark){
.page{background:${DARK.page}}
.card{background:${DARK.card};border-color:${DARK.line}}
.row{color:${DARK.ink};border-color:${DARK.line}}
.row a{color:${readableOn(primaryColor, DARK.card)}}
.row .go a{color:${ink}}
.soft,.foot{color:${DARK.soft}}
.warn{color:${DARK.warn}}
}
`;
}
