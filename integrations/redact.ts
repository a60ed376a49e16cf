/** Replaces secrets, in whatever form a PSA may echo them, in texts that reach logs, errors or people. */
export type Redact = (text: string) => string;

const MARK = '[redacted]';

/**
 * A redactor for one connection. Values of fewer than 4 characters are left alone: replacing them would shred the text
 * and they protect nothing.
 */
export function redactor(secrets: readonly string[]): Redact {
  const forms = new Set<string>();
  for (const secret of secrets) {
    if (secret.length < 4) continue;
    forms.add(secret);
    forms.add(encodeURIComponent(secret));
    forms.add(Buffer.from(secret).toString('base64'));
    forms.add(JSON.stringify(secret).slice(1, -1));
  }
  // Longest first, so that a secret that holds another one goes as a whole.
  const ordered = [...forms].sort((a, b) => b.length - a.length);
  return (text) => ordered.reduce((rest, secret) => rest.replaceAll(secret, MARK), text);
}

/** A vendor's words made fit for one line of a log or a page: redacted, without control characters, at most `max` characters. */
export function oneLine(text: string, redact: Redact, max = 500): string {
  const line = redact(text)
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim();
  return cut(line, max);
}

/** Cut by code point with `…` to at most `max` UTF-16 units, so that no half of a surrogate pair is sent. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  let kept = '';
  for (const point of text) {
    if (kept.length + point.length > max - 1) break;
    kept += point;
  }
  return `${kept}…`;
}
