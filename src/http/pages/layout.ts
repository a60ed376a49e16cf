import type { Brand } from '../../accounts/branding.ts';
import { type Html, html } from '../../digest/html.ts';
import type { Words } from '../../digest/words.ts';

export interface Frame {
  readonly title: string;
  readonly words: Words;
  /** Null: nobody's page, as for a link that is none. */
  readonly brand: Brand | null;
  /** Address of the partner's logo; null for none. */
  readonly logo: string | null;
  readonly body: Html;
}

/** A whole page. Style sheets are files of ours; there is no script. */
export function layout({ title, words, brand, logo, body }: Frame): string {
  const colors =
    brand === null ? null : html`<link rel="stylesheet" href="/q/assets/brand/${brand.primaryColor.slice(1)}.css">`;
  const name = brand === null ? words.page.title : brand.partnerName;
  const picture = logo === null ? null : html`<img src="${logo}" alt="" height="32">`;
  return html`<!doctype html>
<html lang="${words.locale}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="stylesheet" href="/q/assets/pages.css">
${colors}
</head>
<body>
<header class="top"><div class="wrap">${picture}<span>${name}</span></div></header>
<main class="wrap">
${body}
</main>
</body>
</html>
`.text;
}

/** A page that says one thing. */
export function notice(words: Words, title: string, text: string, more: Html | null = null): string {
  const body = html`<section class="card notice"><h1>${title}</h1><p>${text}</p>${more}</section>`;
  return layout({ title, words, brand: null, logo: null, body });
}
