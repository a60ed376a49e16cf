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
 * something that decodes it, and something that saves it. All three are needed: each alone is common. Linear.
 */
export function hasHtmlSmuggling(html: string): boolean {
  const text = html.slice(0, SMUGGLE_MAX);
  if (!/<script|onload\s*=|onerror\s*=|javascript:/i.test(text)) return false;
  const decodes = /\batob\s*\(|fromCharCode|Uint8Array|TextDecoder|decodeURIComponent|unescape\s*\(|charCodeAt/i.test(
    text,
  );
  const saves =
    /\bnew\s+(?:window\.)?(?:Blob|File)\s*\(|msSaveOrOpenBlob|msSaveBlob|createObjectURL|\.download\s*=|\bdownload=|data:application|\.setAttribute\s*\(\s*["']download|document\.write|\beval\s*\(/i.test(
      text,
    );
  return decodes && saves && longestLiteral(text) >= PAYLOAD;
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

const UTF16 = (text: string) => Buffer.from(text, 'utf16le');
const VBA_PROJECT = UTF16('_VBA_PROJECT');
const ENCRYPTED_PACKAGE = UTF16('EncryptedPackage');
const OLE_NATIVE = UTF16('\u0001Ole10Native');
const WORKBOOK = [UTF16('Workbook'), UTF16('Book')];
const EQUATION_CLSID = Buffer.from('02ce020000000000c000000000000046', 'hex');

export interface OfficeFindings {
  readonly macro: boolean;
  readonly encrypted: boolean;
  readonly suspicious: readonly string[];
}

/**
 * What an OLE compound file (doc, xls, ppt, msi, encrypted OOXML) holds, by the names in its directory (UTF-16, MS-CFB
 * section 2.6.1) and, for the macros of Excel 4, by its sheet records (MS-XLS section 2.4.28).
 */
export function inspectOle(content: Buffer): OfficeFindings {
  const suspicious: string[] = [];
  if (content.includes(OLE_NATIVE)) suspicious.push('ole.package');
  if (content.includes(EQUATION_CLSID)) suspicious.push('ole.equation');
  const isWorkbook = WORKBOOK.some((name) => content.includes(name));
  return {
    macro: content.includes(VBA_PROJECT) || (isWorkbook && hasMacroSheet(content)),
    encrypted: content.includes(ENCRYPTED_PACKAGE),
    suspicious,
  };
}

/** A BoundSheet8 record whose type is 1: a macro sheet of Excel 4. */
function hasMacroSheet(content: Buffer): boolean {
  for (let at = content.indexOf(BOUND_SHEET); at >= 0; at = content.indexOf(BOUND_SHEET, at + 1)) {
    if (at + 12 > content.length) return false;
    const length = content.readUInt16LE(at + 2);
    const [hidden = 9, type, name = 0] = [content[at + 8], content[at + 9], content[at + 10]];
    if ((hidden & 3) < 3 && hidden < 4 && type === 1 && name > 0 && name <= 31) {
      if (length === 8 + name || length === 8 + 2 * name) return true;
    }
  }
  return false;
}

const BOUND_SHEET = Buffer.from([0x85, 0x00]);

/** RTF that carries objects which run on opening, as Word reads it: control words may be split by anything. */
export function inspectRtf(content: Buffer): readonly string[] {
  const text = content.toString('latin1', 0, Math.min(content.length, SMUGGLE_MAX));
  const found: string[] = [];
  if (/\\objupdate|\\objautlink/i.test(text)) found.push('rtf.auto_object');
  if (/\\objdata/i.test(text)) found.push('rtf.object');
  if (/\\\*\\template\s+https?:/i.test(text)) found.push('office.remote_template');
  return found;
}

/** A PDF that starts a program. */
export function inspectPdf(content: Buffer): readonly string[] {
  return content.includes('/Launch') && /\/S\s*\/Launch\b/.test(content.toString('latin1', 0, SMUGGLE_MAX))
    ? ['pdf.launch']
    : [];
}

/** A part of an OOXML package that says macro, by its path or by what it holds. */
export function inspectOoxmlPart(path: string, content: Buffer | null): OfficeFindings {
  const lower = path.toLowerCase();
  const suspicious: string[] = [];
  let macro = /(?:^|\/)vbaproject\.bin$|(?:^|\/)(?:macrosheets|intlmacrosheets)\//.test(lower);
  if (content !== null && lower.endsWith('[content_types].xml'))
    macro ||= /macroenabled/i.test(content.toString('latin1', 0, 262_144));
  if (content !== null && lower.endsWith('.rels')) {
    const text = content.toString('latin1', 0, 262_144);
    if (
      /attachedTemplate"/i.test(text) &&
      /TargetMode="External"/i.test(text) &&
      /Target="(?:https?|file|\\\\)/i.test(text)
    ) {
      suspicious.push('office.remote_template');
    }
  }
  return { macro, encrypted: false, suspicious };
}
