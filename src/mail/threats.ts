/** Cut in two, so that this file is not taken for the test file itself. */
const EICAR = Buffer.from(
  ['X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-', 'STANDARD-ANTIVIRUS-TEST-FILE!$H+H*'].join(''),
  'latin1',
);

/** The EICAR anti-malware test file, anywhere in the content. */
export function hasEicar(content: Buffer): boolean {
  return content.includes(EICAR);
}

const SMUGGLE_MAX = 16 * 1024 * 1024;
const PAYLOAD = 1000;

/**
 * HTML that builds a file in the browser, past every attachment filter: a long literal (base64, hex or a list of numbers),
 * something that decodes it, and something that saves it or writes a page with it. All three are needed: each alone is common.
 * Without a script: a link with `download` to a `data:` address that is a file. Linear.
 */
export function hasHtmlSmuggling(html: string): boolean {
  const text = html.slice(0, SMUGGLE_MAX);
  if (hasDataDownload(text)) return true;
  if (!/<script|\son[a-z]{3,20}\s*=|javascript:/i.test(text)) return false;
  const decodes =
    /\batob\b|fromCharCode|fromCodePoint|Uint8Array|TextDecoder|decodeURIComponent|unescape\s*\(|charCodeAt|parseInt\s*\(|WebAssembly|data:application/i.test(
      text,
    );
  const saves =
    /\bnew\s+(?:window\.)?(?:Blob|File)\s*\(|\[\s*["']Blob["']\s*\]|msSaveOrOpenBlob|msSaveBlob|createObjectURL|\.download\s*=|\bdownload\s*=|\[\s*["']download["']\s*\]|\.setAttribute\s*\(\s*["']download|document\.write|\.(?:inner|outer)HTML\s*=|\.srcdoc\s*=|\beval\s*\(|new\s+Function\s*\(|WebAssembly\.(?:instantiate|compile)/i.test(
      text,
    );
  return decodes && saves && longestLiteral(withoutImages(text)) >= PAYLOAD;
}

/** `<a download href="data:application/zip;base64,...">`: a click saves the file. */
function hasDataDownload(text: string): boolean {
  const link = /<a\s[^>]{0,400}?\bhref\s*=\s*["']?\s*data:([a-z0-9.+/-]{0,100})/gi;
  for (let match = link.exec(text); match !== null; match = link.exec(text)) {
    const end = text.indexOf('>', match.index);
    if (end < 0) return false;
    link.lastIndex = Math.max(end, link.lastIndex);
    const tag = `${text.slice(match.index, Math.min(end, match.index + 600))} ${text.slice(Math.max(match.index, end - 400), end)}`;
    const isShown = /^(?:image|font|text\/css)/i.test(match[1] ?? '');
    if (!isShown && end - match.index >= PAYLOAD && /\sdownload(?=[\s=>]|$)/i.test(tag)) return true;
  }
  return false;
}

/** Pictures and fonts in the page are long literals too; the ones that a script takes apart are not marked as such. */
function withoutImages(text: string): string {
  return text.replace(
    /data:(?:image\/(?!svg)|font\/|application\/(?:x-)?font)[a-z0-9.+-]{0,40};base64,[A-Za-z0-9+/=\s]*/gi,
    '',
  );
}

/** The longest run of characters that base64, hex or number lists consist of; line ends and joins do not end it. */
function longestLiteral(text: string): number {
  let longest = 0;
  let run = 0;
  let gap = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    const alphabet =
      (code >= 0x30 && code <= 0x39) ||
      (code >= 0x41 && code <= 0x5a) ||
      (code >= 0x61 && code <= 0x7a) ||
      code === 0x25 ||
      code === 0x2b ||
      code === 0x2f ||
      code === 0x3d ||
      code === 0x2c ||
      code === 0x5c;
    if (alphabet) {
      run += 1;
      gap = 0;
      if (run > longest) longest = run;
    } else if (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x22 || code === 0x27 || code === 0x09) {
      // Prose has a space every few letters; a split literal has one now and then.
      gap += 1;
      if (gap > 4 || run < 40 * gap) run = 0;
    } else run = 0;
  }
  return longest;
}

/** RTF that carries objects which run on opening, as Word reads it: control words may be split by anything. */
export function inspectRtf(content: Buffer): readonly string[] {
  const text = content.toString('latin1', 0, Math.min(content.length, SMUGGLE_MAX));
  const found: string[] = [];
  if (/\\objupdate|\\objautlink/i.test(text)) found.push('rtf.auto_object');
  if (/\\objdata/i.test(text)) found.push('rtf.object');
  if (/\\\*\\template\s+https?:/i.test(text)) found.push('office.remote_template');
  return found;
}
