import { senderWords, subjectWords, when, whyWords } from '../../digest/compose.ts';
import type { HeldMail } from '../../digest/held.ts';
import type { Act, Holder } from '../../digest/holder.ts';
import { type Html, html } from '../../digest/html.ts';
import { mayRelease } from '../../quarantine/rights.ts';
import { layout } from './layout.ts';

export interface ListView {
  readonly holder: Holder;
  /** Path of this page, without a query. */
  readonly path: string;
  readonly logo: string | null;
  readonly rows: readonly HeldMail[];
  /** Everything that is held, whatever the search. */
  readonly total: number;
  readonly text: string;
  /** Cursor of the page after this one; null for the last. */
  readonly next: string | null;
  readonly isFirst: boolean;
  readonly allChecked: boolean;
  /** What was just done, in words. */
  readonly said: readonly string[];
  linkTo(deliveryId: string): string;
}

const BUTTONS: readonly Act[] = ['release', 'allow', 'delete', 'block', 'ask'];

/** A mailbox's quarantine: one form for what is to be done, one for the search. Works without a script. */
export function listPage(view: ListView): string {
  const { holder, path, total, text, said } = view;
  const page = holder.words.page;
  const title = page.whose(holder.whose);
  const query = (parts: Readonly<Record<string, string>>) => {
    const given = Object.entries(parts).filter(([, value]) => value !== '');
    return given.length === 0 ? path : `${path}?${new URLSearchParams(given).toString()}`;
  };
  const clear = text === '' ? null : html`<a href="${path}">${page.clear}</a>`;
  const newest = view.isFirst ? null : html`<a rel="prev" href="${query({ q: text })}">${page.newest}</a>`;
  const older =
    view.next === null ? null : html`<a rel="next" href="${query({ q: text, after: view.next })}">${page.older}</a>`;
  const body = html`<div class="head"><h1>${title}</h1><p class="soft">${page.count(total)}</p></div>
${saidBox(said)}
<form class="search" role="search" method="get" action="${path}">
<label for="q">${page.searchLabel}</label>
<div class="row"><input id="q" name="q" type="search" value="${text}" maxlength="100" autocomplete="off"><button>${page.search}</button>${clear}</div>
</form>
${view.rows.length === 0 ? html`<p class="card empty">${text === '' ? page.empty : page.noMatch}</p>` : mailForm(view, query)}
${newest === null && older === null ? null : html`<nav class="pages" aria-label="${page.title}">${newest}${older}</nav>`}`;
  return layout({ title, words: holder.words, brand: holder.brand, logo: view.logo, body });
}

export function saidBox(said: readonly string[]): Html | null {
  if (said.length === 0) return null;
  return html`<div class="said" role="status">${said.map((line) => html`<p>${line}</p>`)}</div>`;
}

function mailForm(view: ListView, query: (parts: Readonly<Record<string, string>>) => string): Html {
  const { holder, path, rows, text, allChecked } = view;
  const page = holder.words.page;
  const all = query(allChecked ? { q: text } : { q: text, all: '1' });
  return html`<form method="post" action="${path}">
<p class="all"><a href="${all}">${allChecked ? page.selectNone : page.selectAll}</a></p>
<ul class="mails">
${rows.map((mail) => row(view, mail))}</ul>
<fieldset class="bar"><legend>${page.selected}</legend>
<div class="buttons">${BUTTONS.map((act) => html`<button name="act" value="${act}"${act === 'release' ? html` class="main"` : null}>${page.do[act]}</button> `)}</div></fieldset>
</form>`;
}

function row({ holder, linkTo, allChecked }: ListView, mail: HeldMail): Html {
  const { words, zone, actor } = holder;
  const subject = subjectWords(mail, words);
  const to =
    holder.subject.scope === 'mailbox' ? null : html`<div class="to">${words.digest.to}: ${mail.recipient}</div>`;
  const locked = mayRelease(actor.role, mail) ? null : html`<div class="warn">${words.digest.noRelease}</div>`;
  return html`<li>
<input type="checkbox" name="id" value="${mail.id}" id="m${mail.id}" aria-label="${words.page.selectOne(subject)}"${allChecked ? html` checked` : null}>
<div class="mail"><div class="line"><a class="subject" href="${linkTo(mail.id)}">${subject}</a><time datetime="${mail.acceptedAt.toISOString()}">${when(mail.acceptedAt, zone, words)}</time></div>
<div class="from">${senderWords(mail, words)}</div>${to}
<div class="why">${whyWords(mail)}</div>${locked}</div>
</li>
`;
}
