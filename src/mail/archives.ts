import { Budget, type Member, type Visitor } from './budget.ts';
import { walkEncodedMultipart, walkMessage } from './embedded.ts';
import { decodeText } from './fields.ts';
import { inflate } from './inflate.ts';
import { findInline, hasBinhexMark } from './inline.ts';
import { inspectName, normalizeName } from './names.ts';
import { inspectOle, inspectOoxmlPart, walkOle } from './office.ts';
import { inspectPdf } from './pdf.ts';
import { innerName, walkSeven } from './seven.ts';
import { isContainerType, isProgramType, sniffType } from './sniff.ts';
import { isTar, walkTar } from './tar.ts';
import { hasEicar, hasHtmlSmuggling, inspectRtf } from './threats.ts';
import { walkTnef } from './tnef.ts';
import type { Inspection } from './types.ts';
import { endsAsZip, walkZip } from './zip.ts';

export interface InspectedContent {
  readonly sniffedType: string | null;
  readonly inspection: Inspection;
}

/**
 * Looks into a file and into everything that is inside of it, within the budget. Fails closed: what cannot be listed, what
 * contradicts itself and what goes beyond a bound is named in `suspicious`, never passed over. Throws for nothing that the
 * content holds.
 */
export async function inspectContent(
  names: readonly string[],
  contentType: string,
  content: Buffer,
  budget: Budget = new Budget(),
): Promise<InspectedContent> {
  const inspector = new Inspector(budget);
  const sniffedType = await inspector.look('', names, contentType, content, 0);
  return { sniffedType, inspection: inspector.result() };
}

/** A message in pieces, and one that lies elsewhere: the whole is put together where no filter looks (RFC 2046 section 5.2). */
const APART: Readonly<Record<string, string>> = {
  'message/partial': 'message.partial',
  'message/external-body': 'message.external_body',
};

const PATH_MAX = 1024;
/** How many levels documents in documents may add to those of archives. */
const DOCUMENT_DEPTH = 3;

/** The inspection of a file that has nothing in it. */
export const NOTHING_FOUND: Inspection = {
  entries: [],
  executable: false,
  macro: false,
  encrypted: false,
  suspicious: [],
  active: [],
  eicar: false,
  htmlSmuggling: false,
};

/** Both findings together: for a file that two readers decode differently. */
export function mergeInspections(a: Inspection, b: Inspection): Inspection {
  return {
    entries: [...a.entries, ...b.entries.filter((entry) => !a.entries.some((known) => known.path === entry.path))],
    executable: a.executable || b.executable,
    macro: a.macro || b.macro,
    encrypted: a.encrypted || b.encrypted,
    suspicious: [...new Set([...a.suspicious, ...b.suspicious])],
    active: [...new Set([...a.active, ...b.active])],
    eicar: a.eicar || b.eicar,
    htmlSmuggling: a.htmlSmuggling || b.htmlSmuggling,
  };
}

interface FoundEntry {
  readonly path: string;
  sniffedType: string | null;
  readonly bytes: number;
}

class Inspector {
  readonly #budget: Budget;
  readonly #entries: FoundEntry[] = [];
  readonly #suspicious = new Set<string>();
  readonly #active = new Set<string>();
  #executable = false;
  #macro = false;
  #encrypted = false;
  #eicar = false;
  #htmlSmuggling = false;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  result(): Inspection {
    return {
      entries: this.#entries,
      executable: this.#executable,
      macro: this.#macro,
      encrypted: this.#encrypted,
      suspicious: [...this.#suspicious].sort(),
      active: [...this.#active].sort(),
      eicar: this.#eicar,
      htmlSmuggling: this.#htmlSmuggling,
    };
  }

  /** Looks at one file and what is in it. `path` is that of the container, with its slash, or empty. */
  async look(
    path: string,
    names: readonly string[],
    contentType: string,
    content: Buffer,
    depth: number,
  ): Promise<string | null> {
    this.#lookAtNames(names);
    const type = await sniffType(content);
    if (isProgramType(type)) this.#executable = true;
    const apart = APART[contentType];
    if (apart !== undefined) this.#suspicious.add(apart);
    if (hasEicar(content)) this.#eicar = true;
    if (isHtml(names, contentType, content) && hasHtmlSmuggling(pageText(content))) this.#htmlSmuggling = true;
    return this.#open(path, names, contentType, content, depth, type);
  }

  #lookAtNames(names: readonly string[]): void {
    for (const raw of names) {
      const found = inspectName(raw);
      if (found.dangerous) this.#executable = true;
      if (found.macro) this.#macro = true;
      if (found.doubleExtension) this.#suspicious.add('name.double_extension');
      if (found.disguised) this.#suspicious.add('name.disguised');
    }
  }

  async #open(
    path: string,
    names: readonly string[],
    contentType: string,
    content: Buffer,
    depth: number,
    type: string | null,
  ): Promise<string | null> {
    const inner = `${path}${normalizeName(names[0] ?? '') || 'unnamed'}/`;
    if (isOle(type)) {
      const found = inspectOle(content);
      this.#macro ||= found.macro;
      this.#encrypted ||= found.encrypted;
      this.#executable ||= found.program === true;
      for (const code of found.suspicious) this.#suspicious.add(code);
    }
    if (type === 'application/rtf') for (const code of inspectRtf(content)) this.#suspicious.add(code);

    const visitor: Visitor = {
      flag: (code) => this.#suspicious.add(code),
      member: (member) => this.#member(inner, member, depth + 1),
    };
    // Documents are no archives: what they embed is looked at, and what is in that counts as one level deeper.
    if (depth < this.#budget.limits.depth + DOCUMENT_DEPTH) {
      if (isOle(type)) await walkOle(content, this.#budget, visitor);
      if (type === 'application/pdf') await this.#pdf(content, visitor);
      if (hasBinhexMark(content)) await walkBinhex(content, this.#budget, visitor);
    } else if (isOle(type) || type === 'application/pdf') this.#suspicious.add('archive.depth');
    const walks = this.#walkersFor(contentType, content, type, normalizeName(names[0] ?? ''));
    if (walks.length === 0) return type;
    if (depth >= this.#budget.limits.depth) {
      this.#suspicious.add('archive.depth');
      return type;
    }
    const before = this.#entries.length;
    for (const walk of walks) await walk(visitor);
    const paths = this.#entries.slice(before).map((entry) => entry.path.slice(inner.length));
    // Java and Android programs, and add-ons of browsers.
    if (type !== null && paths.some((one) => /^META-INF\/MANIFEST\.MF$/i.test(one))) this.#executable = true;
    return refine(type, paths);
  }

  /** What the content opens as; two things when it is made to be both. */
  #walkersFor(
    contentType: string,
    content: Buffer,
    type: string | null,
    name: string,
  ): ((visitor: Visitor) => Promise<void>)[] {
    const budget = this.#budget;
    const zip = (visitor: Visitor) => walkZip(content, budget, visitor);
    if (type === 'application/zip' || isZipBased(type)) return [zip];
    // A picture, program, film or other archive with a zip behind it opens as a zip.
    const behind = endsAsZip(content) ? [zip] : [];
    if (type === 'application/gzip') return [(visitor) => walkGzip(content, name, budget, visitor), ...behind];
    if (type === 'application/x-tar' || isTar(content)) {
      return [(visitor) => walkTar(content, budget, visitor), ...behind];
    }
    if (type !== null && isContainerType(type)) {
      return [(visitor) => walkSeven(content, type, name, budget, visitor), ...behind];
    }
    if (type === 'application/ms-tnef') return [(visitor) => walkTnef(content, budget, visitor), ...behind];
    if (contentType === 'message/rfc822' || contentType === 'message/global') {
      return [(visitor) => walkMessage(content, budget, visitor), ...behind];
    }
    if (contentType.startsWith('multipart/')) {
      return [(visitor) => walkEncodedMultipart(content, budget, visitor), ...behind];
    }
    return behind;
  }

  async #pdf(content: Buffer, visitor: Visitor): Promise<void> {
    const found = await inspectPdf(content, this.#budget, visitor);
    for (const code of found.active) this.#active.add(code);
    for (const code of found.suspicious) this.#suspicious.add(code);
  }

  async #member(path: string, member: Member, depth: number): Promise<void> {
    const names = member.names.map((name) => safePath(name));
    const entry: FoundEntry = {
      path: `${path}${names[0] ?? ''}`.slice(-4 * PATH_MAX),
      sniffedType: null,
      bytes: member.bytes,
    };
    this.#entries.push(entry);
    for (const name of names.slice(1)) {
      if (name !== names[0]) this.#entries.push({ path: `${path}${name}`, sniffedType: null, bytes: member.bytes });
    }
    if (member.encrypted) this.#encrypted = true;
    for (const name of member.names) {
      const found = inspectOoxmlPart(name, member.content);
      this.#macro ||= found.macro;
      for (const code of found.suspicious) this.#suspicious.add(code);
    }
    if (member.content === null) {
      this.#lookAtNames(member.names);
      return;
    }
    const folder = entry.path.slice(0, entry.path.lastIndexOf('/') + 1);
    entry.sniffedType = await this.look(folder, member.names, member.contentType ?? '', member.content, depth);
  }
}

async function walkGzip(content: Buffer, outer: string, budget: Budget, visitor: Visitor): Promise<void> {
  if (!budget.takeEntry()) return visitor.flag('archive.entries');
  const inner = inflate(content, 'gzip', budget, (code) => visitor.flag(code));
  const named = ((content[3] ?? 0) & 0x08) !== 0 && ((content[3] ?? 0) & 0x04) === 0;
  const end = named ? content.indexOf(0, 10) : -1;
  // The header's name is not the one that most programs give to the file.
  const names =
    end > 10 ? [decodeText(content.subarray(10, Math.min(end, 1034))), innerName(outer)] : [innerName(outer)];
  await visitor.member({ names: [...new Set(names)], content: inner, bytes: inner?.length ?? 0, encrypted: false });
}

/** A file that is BinHex as a whole (`application/mac-binhex40`, RFC 1741). */
async function walkBinhex(content: Buffer, budget: Budget, visitor: Visitor): Promise<void> {
  for (const file of findInline(content, 10)) {
    if (!budget.takeEntry() || !budget.takeRead(file.content.length)) return visitor.flag('archive.entries');
    await visitor.member({ names: [file.name], content: file.content, bytes: file.content.length, encrypted: false });
  }
}

/** The path in the archive, each step normalised as a name. */
function safePath(name: string): string {
  const steps = name.slice(-4096).split(/[\\/]/).map(normalizeName);
  return steps
    .filter((step) => step !== '')
    .join('/')
    .slice(-PATH_MAX);
}

function isOle(type: string | null): boolean {
  return type === 'application/x-ole-storage' || (type?.startsWith('application/x-cfb') ?? false);
}

function isZipBased(type: string | null): boolean {
  return (
    type !== null &&
    (/^application\/vnd\.(?:openxmlformats|oasis|ms-(?:excel|word|powerpoint).*(?:12|macro))/i.test(type) ||
      type === 'application/epub+zip' ||
      type === 'application/java-archive')
  );
}

function isHtml(names: readonly string[], contentType: string, content: Buffer): boolean {
  if (/html|svg|xml/.test(contentType)) return true;
  if (names.some((name) => /\.(?:x?html?|shtml?|svg|mht|mhtml|xml|hta)$/i.test(normalizeName(name)))) return true;
  return /^\s*(?:<!doctype html|<html|<svg|<script|<head|<body)/i.test(content.toString('latin1', 0, 1024));
}

/** As a browser reads it, which a byte order mark tells that it is UTF-16. */
function pageText(content: Buffer): string {
  return content[0] === 0xff && content[1] === 0xfe ? content.toString('utf16le') : decodeText(content);
}

/** Names the Office types apart, by the part that each must have. */
function refine(type: string | null, paths: readonly string[]): string | null {
  if (type !== 'application/zip' || !paths.includes('[Content_Types].xml')) return type;
  const office = 'application/vnd.openxmlformats-officedocument';
  if (paths.some((path) => path.startsWith('word/'))) return `${office}.wordprocessingml.document`;
  if (paths.some((path) => path.startsWith('xl/'))) return `${office}.spreadsheetml.sheet`;
  if (paths.some((path) => path.startsWith('ppt/'))) return `${office}.presentationml.presentation`;
  return type;
}
