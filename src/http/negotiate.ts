/** The two media types of answers (GraphQL over HTTP, section 4.2). */
export const JSON_TYPE = 'application/json';
export const GRAPHQL_TYPE = 'application/graphql-response+json';
export const STREAM_TYPE = 'text/event-stream';
export type AnswerType = typeof JSON_TYPE | typeof GRAPHQL_TYPE;

/**
 * The media type that a caller prefers. Without a word about it, and for a wildcard, the older one: the specification
 * asks for that until 2025 and clients that do not care expect it. Null: the caller takes neither.
 */
export function negotiate(accept: string | undefined): AnswerType | null {
  if (accept === undefined || accept.trim() === '') return JSON_TYPE;
  let best: { type: AnswerType; quality: number } | null = null;
  for (const part of accept.split(',').slice(0, 20)) {
    const [range = '', ...parameters] = part.split(';').map((one) => one.trim().toLowerCase());
    const given = parameters.find((one) => one.startsWith('q='));
    const quality = given === undefined ? 1 : Number(given.slice(2));
    const type = typeOf(range);
    if (type === null || !(quality > 0)) continue;
    if (best === null || quality > best.quality) best = { type, quality };
  }
  return best?.type ?? null;
}

/** Whether a caller names server-sent events among what it takes; a wildcard does not mean them. */
export function takesStream(accept: string | undefined): boolean {
  return (accept ?? '')
    .split(',')
    .slice(0, 20)
    .some((part) => {
      const [range = '', ...parameters] = part.split(';').map((one) => one.trim().toLowerCase());
      return range === STREAM_TYPE && !parameters.some((one) => /^q=0(?:\.0*)?$/.test(one));
    });
}

function typeOf(range: string): AnswerType | null {
  if (range === GRAPHQL_TYPE) return GRAPHQL_TYPE;
  return range === JSON_TYPE || range === 'application/*' || range === '*/*' ? JSON_TYPE : null;
}

/** Whether a Content-Type is JSON in UTF-8; RFC 8259 knows no other encoding. */
export function isJson(contentType: string | undefined): boolean {
  const [type = '', ...parameters] = (contentType ?? '').split(';').map((one) => one.trim().toLowerCase());
  const charset = parameters
    .find((one) => one.startsWith('charset='))
    ?.slice(8)
    .replaceAll('"', '');
  return type === JSON_TYPE && (charset === undefined || charset === 'utf-8' || charset === 'utf8');
}
