import { senderWords, subjectWords, when } from '../../digest/compose.ts';
import type { HeldMessage } from '../../digest/held.ts';
import type { Act, Holder } from '../../digest/holder.ts';
import { type Html, html } from '../../digest/html.ts';
import type { MailPreview } from '../../mail/preview.ts';
import { heldKind, mayRelease } from '../../quarantine/rights.ts';
import { reasonWords, verdictWords } from '../../quarantine/words.ts';
import { layout } from './layout.ts';
import { saidBox } from './list.ts';

export interface MessageView {
  readonly holder: Holder;
  readonly mail: HeldMessage;
  readonly logo: string | null;
  /** What the link is for: `view` offers everything, any other link only what it names. */
  readonly offer: 'view' | Exclude<Act, 'ask'>;
  /** Null: this link does not show the content, or there is none to be shown. */
  readonly preview: MailPreview | null;
  /** Address of the list that the reader came from. */
  readonly back: string | null;
  readonly said: readonly string[];
  /** Where a form for this act posts to. */
  formTo(act: Act): string;
}

const OFFERS: readonly Exclude<Act, 'ask'>[] = ['release', 'allow', 'delete', 'block'];

/** One message: what it is, why it is held, what can be done, and its text in a closed frame. */
export function messagePage(view: MessageView): string {
  const { holder, mail, said } = view;
  const { words, zone } = holder;
  const page = words.page;
  const subject = subjectWords(mail, words);
  const back = view.back === null ? null : html`<p><a href="${view.back}">‹ ${page.back}</a></p>`;
  const body = html`${back}
${saidBox(said)}
<section class="card"><h1 class="subject">${subject}</h1>
<dl>
<dt>${words.digest.from}</dt><dd>${senderWords(mail, words)}</dd>
<dt>${words.digest.to}</dt><dd>${mail.recipient}</dd>
<dt>${words.digest.received}</dt><dd><time datetime="${mail.acceptedAt.toISOString()}">${when(mail.acceptedAt, zone, words)}</time></dd>
</dl>
<h2>${page.why}</h2>
<p class="verdict">${verdictWords(mail.verdict)}</p>
${reasons(mail)}
${whatToDo(view)}
</section>
${attachments(view)}
${frame(view)}`;
  return layout({ title: subject, words, brand: holder.brand, logo: view.logo, body });
}

function reasons(mail: HeldMessage): Html | null {
  const lines = reasonWords(mail.reasons).slice(0, 12);
  return lines.length === 0 ? null : html`<ul class="reasons">${lines.map((line) => html`<li>${line}</li>`)}</ul>`;
}

function whatToDo(view: MessageView): Html {
  const { mail, holder, offer, formTo } = view;
  const page = holder.words.page;
  if (mail.disposition !== 'quarantined') {
    const state: Readonly<Partial<Record<string, string>>> = page.state;
    return html`<p class="state">${state[mail.disposition] ?? page.state.released}</p>`;
  }
  const isOpen = mayRelease(holder.actor.role, mail);
  const offered = OFFERS.filter((act) => offer === 'view' || act === offer);
  const acts = offered.filter((act) => isOpen || (act !== 'release' && act !== 'allow'));
  const forms = acts.map((act, index) => {
    const style = index === 0 && act === 'release' ? 'main' : 'plain';
    return html`<form method="post" action="${formTo(act)}"><button class="${style}" aria-describedby="x${act}">${page.do[act]}</button><p id="x${act}">${page.explain[act]}</p></form>`;
  });
  return html`${isOpen ? null : closed(view)}<div class="acts">${forms}</div>`;
}

/** Why it can't be let out from here, and the way to somebody who can. */
function closed({ mail, holder, formTo }: MessageView): Html {
  const page = holder.words.page;
  const kind = heldKind(mail);
  const why = kind === 'malware' || kind === 'executable' ? page.malware : page.notYours;
  if (mail.asked) return html`<p class="warn">${why}</p><p class="state">${page.asked}</p>`;
  return html`<p class="warn">${why}</p>
<form class="ask" method="post" action="${formTo('ask')}"><input type="hidden" name="act" value="ask">
<label for="note">${page.askWhy}</label><textarea id="note" name="note" rows="2" maxlength="1000"></textarea>
<button class="plain">${page.do.ask}</button></form>`;
}

function attachments({ preview, holder }: MessageView): Html | null {
  if (preview === null || preview.attachments.length === 0) return null;
  const items = preview.attachments.map((file) => {
    const findings = file.findings.length === 0 ? null : html` <span class="warn">${file.findings.join('; ')}</span>`;
    return html`<li>${file.name} <span class="soft">${size(file.bytes)}</span>${findings}</li>`;
  });
  return html`<section class="card"><h2>${holder.words.page.attachments}</h2><ul>${items}</ul></section>`;
}

function size(bytes: number): string {
  return bytes < 1_000_000 ? `${Math.max(1, Math.round(bytes / 1000))} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** No script, no form, no other page, no picture from elsewhere: an empty `sandbox`, and the preview's own policy. */
function frame({ preview, holder, offer }: MessageView): Html | null {
  const page = holder.words.page;
  if (offer !== 'view') return null;
  if (preview === null) return html`<section class="card"><h2>${page.preview}</h2><p>${page.noPreview}</p></section>`;
  const notes = [
    preview.problem,
    preview.remoteImages > 0 ? page.remote(preview.remoteImages) : null,
    preview.truncated ? page.cut : null,
  ].filter((one) => one !== null);
  return html`<section class="card"><h2>${page.preview}</h2>${notes.map((note) => html`<p class="soft">${note}</p>`)}
<iframe class="preview" sandbox title="${page.preview}" srcdoc="${preview.document}"></iframe></section>`;
}
