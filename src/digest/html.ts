const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Markup that is written by us or escaped. Made by the `html` tag only. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Part = Html | string | number | null | readonly (Html | null)[];

/** Text that strangers sent: escaped, and without characters that turn the direction of writing or that control. */
export function escapeHtml(text: string): string {
  return (
    text
      .toWellFormed()
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced here
      .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\u200e\u200f]/g, '\ufffd')
      .replace(/[&<>"']/g, (char) => ESCAPES[char] ?? char)
  );
}

/** html`<p>${text}</p>`: every value is escaped, save Html. Null is nothing. */
export function html(strings: TemplateStringsArray, ...values: readonly Part[]): Html {
  const written = values.map((value): string => {
    if (value === null) return '';
    if (value instanceof Html) return value.text;
    if (typeof value === 'string' || typeof value === 'number') return escapeHtml(String(value));
    return value.map((one) => one?.text ?? '').join('');
  });
  return new Html(strings.reduce((joined, part, index) => `${joined}${written[index - 1] ?? ''}${part}`));
}
