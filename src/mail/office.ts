import type { Budget, Visitor } from './budget.ts';
import { type Cfb, type CfbEntry, readCfb } from './cfb.ts';
import { decodeText } from './fields.ts';
import { isProgramType, sniffMagic } from './sniff.ts';

export interface OfficeFindings {
  readonly macro: boolean;
  readonly encrypted: boolean;
  readonly suspicious: readonly string[];
  /** It is installed or run as a whole: a Windows Installer package or patch. */
  readonly program?: boolean;
}

const UTF16 = (text: string) => Buffer.from(text, 'utf16le');
const VBA_PROJECT = UTF16('_VBA_PROJECT');
const ENCRYPTED_PACKAGE = UTF16('EncryptedPackage');
const OLE_NATIVE = UTF16('\u0001Ole10Native');
const WORKBOOK = [UTF16('Workbook'), UTF16('Book')];
const EQUATION_CLSID = '02ce020000000000c000000000000046';
const EQUATION = Buffer.from(EQUATION_CLSID, 'hex');
/** Installer package, transform and patch (clsid of the root storage). */
const INSTALLER = /^8[246]100c0000000000c000000000000046$/;
/** A field begins with the character 0x13 (MS-DOC 2.8.25). */
const FIELD_DDE = new RegExp(`${String.fromCharCode(0x13)}\\s*DDE(?:AUTO)?\\s`, 'i');
const BIFF_MAX = 4 * 1024 * 1024;
const TEXT_MAX = 16 * 1024 * 1024;

/**
 * What a compound file (doc, xls, ppt, msi, msg, encrypted OOXML) holds, by its directory (MS-CFB) and by the records of its
 * workbook (MS-XLS). A directory that cannot be read is said, and the octets are searched for the names instead.
 */
export function inspectOle(content: Buffer): OfficeFindings {
  const cfb = readCfb(content);
  const suspicious = new Set<string>();
  if (content.includes(EQUATION)) suspicious.add('ole.equation');
  if (hasBinaryDde(content)) suspicious.add('office.dde');
  if (cfb === null || cfb.damaged) {
    suspicious.add('ole.damaged');
    if (content.includes(OLE_NATIVE)) suspicious.add('ole.package');
    const isWorkbook = WORKBOOK.some((name) => content.includes(name));
    return {
      macro: content.includes(VBA_PROJECT) || (isWorkbook && hasMacroSheet(content)),
      encrypted: content.includes(ENCRYPTED_PACKAGE),
      suspicious: [...suspicious],
      program: cfb?.entries.some(isInstaller) === true,
    };
  }
  const names = new Set(cfb.entries.map((entry) => entry.name.toLowerCase()));
  if (names.has('\u0001ole10native')) suspicious.add('ole.package');
  if (cfb.entries.some((entry) => entry.classId === EQUATION_CLSID)) suspicious.add('ole.equation');
  const book = inspectWorkbook(cfb);
  return {
    macro: names.has('_vba_project') || names.has('_vba_project_cur') || book.macro,
    encrypted: names.has('encryptedpackage') || names.has('encryptedsummary') || book.encrypted || isEncryptedWord(cfb),
    suspicious: [...suspicious],
    program: cfb.entries.some(isInstaller),
  };
}

function isInstaller(entry: CfbEntry): boolean {
  return entry.kind === 'root' && INSTALLER.test(entry.classId);
}

function stream(cfb: Cfb, ...names: readonly string[]): CfbEntry | undefined {
  return cfb.entries.find((entry) => entry.kind === 'stream' && names.includes(entry.name.toLowerCase()));
}

/** BoundSheet8 with the type 1 is a macro sheet (MS-XLS 2.4.28); FilePass (2.4.117) says that what follows is encrypted. */
function inspectWorkbook(cfb: Cfb): { macro: boolean; encrypted: boolean } {
  const entry = stream(cfb, 'workbook', 'book');
  const found = { macro: false, encrypted: false };
  if (entry === undefined) return found;
  const records = cfb.read(entry, BIFF_MAX);
  for (let at = 0; at + 4 <= records.length; ) {
    const type = records.readUInt16LE(at);
    const length = records.readUInt16LE(at + 2);
    if (type === 0x85 && length >= 6 && (records[at + 9] ?? 0) === 1) found.macro = true;
    if (type === 0x2f) found.encrypted = true;
    if (type === 0x0a) break;
    at += 4 + length;
  }
  return found;
}

/** `fEncrypted` of the file information block (MS-DOC 2.5.2). */
function isEncryptedWord(cfb: Cfb): boolean {
  const entry = stream(cfb, 'worddocument');
  if (entry === undefined) return false;
  const head = cfb.read(entry, 32);
  return head.length >= 12 && head.readUInt16LE(0) === 0xa5ec && (head.readUInt16LE(10) & 0x0100) !== 0;
}

function hasBinaryDde(content: Buffer): boolean {
  if (!content.includes('DDE') && !content.includes(UTF16('DDE'))) return false;
  const text = content.subarray(0, TEXT_MAX);
  return FIELD_DDE.test(text.toString('latin1')) || FIELD_DDE.test(text.toString('utf16le'));
}

/** Without a directory: the octets of such a record, wherever they are. */
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

/**
 * Shows the files in a compound file: what a Package object carries (MS-OLEDS 2.3.6 and the format of packager.exe), the
 * attachments of an Outlook message (MS-OXMSG), and any stream that begins as a program.
 */
export async function walkOle(content: Buffer, budget: Budget, visitor: Visitor): Promise<void> {
  const cfb = readCfb(content);
  if (cfb === null) return;
  for (const entry of cfb.entries) {
    if (entry.kind !== 'stream' || entry.size === 0) continue;
    const name = entry.name.toLowerCase();
    if (/^__substg1\.0_370[47]001[ef]$/.test(name)) {
      const raw = cfb.read(entry, 2048);
      const text = name.endsWith('f') ? raw.toString('utf16le') : decodeText(raw);
      if (!(await show(budget, visitor, [text], null, 0))) return;
      continue;
    }
    const isPackage = name === '\u0001ole10native';
    const isAttachment = name === '__substg1.0_37010102';
    const head = cfb.read(entry, 128);
    if (!isPackage && !isAttachment && !isProgramType(sniffMagic(head))) continue;
    const bytes = cfb.read(entry, budget.limits.member);
    const packed = isPackage ? unpack(bytes) : { names: [], content: bytes };
    if (!budget.takeRead(packed.content.length)) return visitor.flag('archive.work');
    const names = packed.names.length === 0 ? ['object'] : packed.names;
    if (!(await show(budget, visitor, names, packed.content, packed.content.length))) return;
  }
}

async function show(
  budget: Budget,
  visitor: Visitor,
  names: readonly string[],
  content: Buffer | null,
  bytes: number,
): Promise<boolean> {
  if (!budget.takeEntry()) {
    visitor.flag('archive.entries');
    return false;
  }
  await visitor.member({ names, content, bytes, encrypted: false });
  return true;
}

/** Size, flags, label, path, four octets, length and text of a temporary path, then size and content of the file. */
function unpack(raw: Buffer): { names: string[]; content: Buffer } {
  const names: string[] = [];
  let at = 6;
  for (let count = 0; count < 2; count += 1) {
    const end = raw.indexOf(0, at);
    if (end < 0 || end - at > 1024) return { names, content: raw.subarray(4) };
    names.push(decodeText(raw.subarray(at, end)));
    at = end + 1;
  }
  at += 4;
  if (at + 4 > raw.length) return { names, content: raw.subarray(4) };
  at += 4 + raw.readUInt32LE(at);
  if (at + 4 > raw.length) return { names, content: raw.subarray(4) };
  const size = raw.readUInt32LE(at);
  return { names: names.filter((name) => name !== ''), content: raw.subarray(at + 4, at + 4 + size) };
}

const RELATIONS: readonly { readonly type: RegExp; readonly code: string }[] = [
  { type: /\/attachedTemplate$/i, code: 'office.remote_template' },
  { type: /\/(?:oleObject|frame|subDocument|afChunk|control|package)$/i, code: 'office.remote_object' },
];
/** From another machine; a template on one's own disk is what Word writes into every second document. */
const ELSEWHERE =
  /^(?:https?|ftp|mhtml|mk|javascript|ms-[a-z]+):|^\\\\|^\/\/|^file:\/\/(?!\/)|^file:\/\/\/(?:\\\\|\/\/)/i;

/** A part of an OOXML package, by its path and by what it holds: macros, remote templates and objects, DDE. */
export function inspectOoxmlPart(path: string, content: Buffer | null): OfficeFindings {
  const lower = path.toLowerCase();
  const suspicious = new Set<string>();
  let macro = /(?:^|\/)vbaproject\.bin$|(?:^|\/)(?:macrosheets|intlmacrosheets)\//.test(lower);
  if (content === null) return { macro, encrypted: false, suspicious: [] };
  if (lower.endsWith('[content_types].xml')) {
    macro ||= /macroenabled|vnd\.ms-office\.vbaproject|macrosheet/i.test(xmlText(content));
  } else if (lower.endsWith('.rels')) {
    for (const element of xmlText(content).match(/<[A-Za-z][^<>]*>/g) ?? []) {
      const type = attribute(element, 'Type');
      const known = RELATIONS.find((one) => one.type.test(type));
      if (known === undefined || attribute(element, 'TargetMode').toLowerCase() !== 'external') continue;
      if (ELSEWHERE.test(attribute(element, 'Target').trim())) suspicious.add(known.code);
    }
  } else if (/(?:^|\/)word\/[^/]*\.xml$/.test(lower)) {
    if (hasDdeField(xmlText(content))) suspicious.add('office.dde');
  } else if (/(?:^|\/)xl\/externallinks\/[^/]*\.xml$/.test(lower)) {
    if (/<(?:\w+:)?ddeLink[\s>]/i.test(xmlText(content))) suspicious.add('office.dde');
  }
  return { macro, encrypted: false, suspicious: [...suspicious] };
}

/** A field's instruction may be split over any number of runs; Word joins them. */
function hasDdeField(xml: string): boolean {
  const joined = (xml.match(/<w:instrText[^>]*>[^<]*/gi) ?? []).map((one) => one.slice(one.indexOf('>') + 1)).join('');
  const simple = (xml.match(/<w:fldSimple\s[^>]*>/gi) ?? []).map((one) => attribute(one, 'w:instr')).join('\n');
  return [entities(joined), simple].some((text) => /(?:^|[^A-Za-z])DDE(?:AUTO)?["\s]/i.test(text));
}

/** XML as text; Office reads UTF-16 too. */
function xmlText(content: Buffer): string {
  const cut = content.subarray(0, TEXT_MAX);
  if (cut[0] === 0xff && cut[1] === 0xfe) return cut.toString('utf16le');
  if (cut[0] === 0xfe && cut[1] === 0xff)
    return Buffer.from(cut.subarray(0, cut.length & ~1))
      .swap16()
      .toString('utf16le');
  return cut.toString('latin1');
}

function attribute(element: string, name: string): string {
  const match = new RegExp(`\\s${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)')`, 'i').exec(element);
  return entities(match?.[1] ?? match?.[2] ?? '');
}

function entities(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|(amp|quot|apos|lt|gt));/gi, (whole, hex, decimal, name) => {
    if (name !== undefined) return NAMED[String(name).toLowerCase()] ?? whole;
    const code = hex !== undefined ? Number.parseInt(String(hex), 16) : Number(decimal);
    return code > 0 && code < 0x110000 ? String.fromCodePoint(code) : '';
  });
}

const NAMED: Readonly<Record<string, string>> = { amp: '&', quot: '"', apos: "'", lt: '<', gt: '>' };
