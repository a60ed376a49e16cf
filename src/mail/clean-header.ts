import { decodeText, fieldValue, type RawField } from './fields.ts';
import { cleanText, encodeWords } from './format.ts';
import { parseStructured } from './mime.ts';

const LINE = 76;
const HARD_LINE = 900;
const NAME_MAX = 76;
const WITH_PARAMETERS = new Set(['content-type', 'content-disposition']);
const WITH_ADDRESSES = new Set([
  'from',
  'to',
  'cc',
  'bcc',
  'reply-to',
  'sender',
  'resent-from',
  'resent-to',
  'resent-cc',
]);

/**
 * A header field as any reader takes it: ASCII, in lines of at most 998 octets. A field that is so already stays as it is;
 * else its text becomes RFC 2047 words, its parameters RFC 2231, and it is folded anew. Null: the line is no field, or has no such form.
 */
export function cleanField(field: RawField): Buffer | null {
  if (field.name === '' || field.name.length > NAME_MAX) return null;
  if (isClean(field.raw)) return field.raw;
  const name = decodeText(field.raw.subarray(0, field.raw.indexOf(0x3a))).trim();
  const value = cleanText(fieldValue(field));
  const ascii = asciiOf(field.name, value);
  return ascii === null ? null : Buffer.from(fold(name, ascii), 'latin1');
}

function isClean(raw: Buffer): boolean {
  if (raw.length < 2 || raw[raw.length - 2] !== 0x0d || raw.at(-1) !== 0x0a) return false;
  let start = 0;
  for (let at = 0; at < raw.length; at += 1) {
    const byte = raw[at] ?? 0;
    if (byte === 0x0a) {
      if (raw[at - 1] !== 0x0d || at - start > 200) return false;
      start = at + 1;
    } else if (byte === 0x0d ? raw[at + 1] !== 0x0a : byte > 0x7e || (byte < 0x20 && byte !== 0x09)) return false;
  }
  return true;
}

/** Null: it holds an address beyond ASCII, which has no other form (RFC 6531). */
function asciiOf(name: string, value: string): string | null {
  if (isAscii(value)) return value;
  if (WITH_PARAMETERS.has(name)) return parameters(value);
  if (WITH_ADDRESSES.has(name)) {
    const tokens = addressTokens(value);
    if (tokens.some((one) => !one.startsWith('"') && one.includes('@') && !isAscii(one))) return null;
    return tokens.map(encodeToken).join('');
  }
  return words(value).join(' ');
}

/** The value with its parameters, written anew. */
function parameters(value: string): string {
  const { value: main, params } = parseStructured(value);
  const written = params.map((param) => {
    if (!isAscii(param.value)) return `${param.name.replace(/\*$/, '')}*=utf-8''${percent(param.value)}`;
    // An extended value (RFC 2231) is a token; quoted it would be none.
    return `${param.name}=${param.name.endsWith('*') ? param.value : `"${param.value.replace(/["\\]/g, '\\$&')}"`}`;
  });
  return [main, ...written].join('; ').replace(/[^\x20-\x7e]/g, '?');
}

/** Quoted strings, runs of other characters, and each special character by itself. One pass. */
function addressTokens(value: string): string[] {
  const tokens: string[] = [];
  let token = '';
  let isQuoted = false;
  const next = () => {
    if (token !== '') tokens.push(token);
    token = '';
  };
  for (let at = 0; at < value.length; at += 1) {
    const char = value[at] ?? '';
    if (isQuoted) {
      token += char;
      if (char === '\\') {
        at += 1;
        token += value[at] ?? '';
      } else if (char === '"') {
        isQuoted = false;
        next();
      }
    } else if (char === '"') {
      next();
      isQuoted = true;
      token = char;
    } else if (/[\s<>(),:;]/.test(char)) {
      next();
      tokens.push(char);
    } else token += char;
  }
  next();
  return tokens;
}

function encodeToken(token: string): string {
  if (isAscii(token)) return token;
  const text = token.startsWith('"') ? token.replace(/^"|"$/g, '').replace(/\\(.)/g, '$1') : token;
  return encodeWords(text).join(' ');
}

/** White space between encoded words is no part of the text, so neighbours are encoded together. */
function words(value: string): string[] {
  const result: string[] = [];
  let foreign: string[] = [];
  const flush = () => {
    if (foreign.length > 0) result.push(...encodeWords(foreign.join(' ')));
    foreign = [];
  };
  for (const word of value.split(/ +/)) {
    if (!isAscii(word)) foreign.push(word);
    else {
      flush();
      result.push(word);
    }
  }
  flush();
  return result;
}

function percent(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(/['()*!]/g, (char) => `%${char.charCodeAt(0).toString(16)}`);
}

function isAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}

function fold(name: string, value: string): string {
  const lines: string[] = [];
  let line = `${name}:`;
  for (const word of value.split(/ +/)) {
    if (word === '') continue;
    for (let at = 0; at < word.length; at += HARD_LINE) {
      const piece = word.slice(at, at + HARD_LINE);
      if (line.length + 1 + piece.length > LINE && line.trim() !== '' && line.length > name.length + 1) {
        lines.push(line);
        line = '';
      }
      line += ` ${piece}`;
    }
  }
  lines.push(line);
  return `${lines.join('\r\n')}\r\n`;
}
