const LINE = 78; // RFC 5322 section 2.1.1, the length that readers prefer
const HARD_LINE = 900; // below the 998 of the same section

/** Date of a header field (RFC 5322 section 3.3), in UTC. */
export function mailDate(at: Date): string {
  return at.toUTCString().replace(/GMT$/, '+0000');
}

/**
 * A word that came from outside, for a place where the syntax of RFC 5322 gives spaces, brackets and semicolons a meaning:
 * all that is not visible ASCII, and those, become `?`.
 */
export function cleanToken(text: string, max = 320): string {
  return text.slice(0, max).replace(/[^\x21-\x7e]|[()<>;,\\"]/g, '?');
}

/** Text for a field: control characters become spaces, so that no value can begin another field. */
export function cleanText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced here
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim();
}

/**
 * One field with its CRLF, folded at white space, cut hard where there is none for 900 characters. Control characters in
 * the value become spaces, what is not ASCII becomes RFC 2047 words. Throws on a name that is none: names are ours.
 */
export function formatField(name: string, value: string): string {
  if (!/^[A-Za-z][A-Za-z0-9-]*$/.test(name)) throw new Error(`"${name}" is no header name`);
  const lines: string[] = [];
  let line = `${name}:`;
  for (const word of words(cleanText(value))) {
    if (line.length + 1 + word.length > LINE && line.length > name.length + 1) {
      lines.push(line);
      line = '';
    }
    line += ` ${word}`;
  }
  lines.push(line);
  return `${lines.join('\r\n')}\r\n`;
}

function words(text: string): string[] {
  const result: string[] = [];
  // Neighbouring words that need encoding are encoded together: white space between encoded words is not part of the text.
  let foreign: string[] = [];
  const flush = () => {
    if (foreign.length > 0) result.push(...encodeWords(foreign.join(' ')));
    foreign = [];
  };
  for (const word of text.split(/ +/)) {
    if (word === '') continue;
    if (!/^[\x21-\x7e]*$/.test(word) || word.includes('=?')) {
      foreign.push(word);
      continue;
    }
    flush();
    for (let at = 0; at < word.length; at += HARD_LINE) result.push(word.slice(at, at + HARD_LINE));
  }
  flush();
  return result;
}

/** RFC 2047 encoded words (UTF-8, base64) of at most 75 characters, none cut inside a character. */
export function encodeWords(text: string): string[] {
  const result: string[] = [];
  let part = '';
  for (const char of text) {
    if (Buffer.byteLength(part) + Buffer.byteLength(char) > 45) {
      result.push(`=?utf-8?B?${Buffer.from(part).toString('base64')}?=`);
      part = '';
    }
    part += char;
  }
  if (part !== '') result.push(`=?utf-8?B?${Buffer.from(part).toString('base64')}?=`);
  return result;
}
