import { readFile } from 'node:fs/promises';
import { type ArchiveLimits, Budget } from './budget.ts';
import { inflate } from './inflate.ts';
import { leavesOf } from './leaves.ts';
import { walkStructure } from './mime.ts';
import { walkZip } from './zip.ts';

/** A file in which a report may be. `fault`: it could not be opened (`archive.ratio`, `archive.damaged` ...). */
export interface ReportFile {
  readonly name: string;
  readonly content: Buffer;
  readonly fault: string | null;
}

/** A report of the largest receivers has some ten thousand records, 500 octets each. */
export const REPORT_LIMITS: ArchiveLimits = {
  depth: 2,
  entries: 20,
  inflated: 48 * 1024 * 1024,
  member: 24 * 1024 * 1024,
  ratio: 200,
};
const MESSAGE_MAX = 26_214_400;
const FILES_MAX = 10;

const NAMED = /\.(?:xml|json|gz|gzip|zip)$/i;
const TYPED = /^application\/(?:(?:x-)?gzip|(?:x-)?zip(?:-compressed)?|xml|json|tlsrpt\+(?:gzip|json))$|^text\/xml$/i;

/**
 * The files of a message that are, or claim to be, a report, opened within bounds. What they are is seen from their content: senders
 * mislabel them. Null: the message is too large to be looked at. Never throws for what the message holds.
 */
export async function reportFilesOf(source: Buffer | string): Promise<ReportFile[] | null> {
  const message = typeof source === 'string' ? await readFile(source) : source;
  if (message.length > MESSAGE_MAX) return null;
  const budget = new Budget(REPORT_LIMITS);
  const found: ReportFile[] = [];
  let looked = 0;
  for (const [index, part] of walkStructure(message).parts.entries()) {
    for (const leaf of leavesOf(message, part, index)) {
      const name = leaf.names[0] ?? '';
      const claims = TYPED.test(leaf.contentType) || leaf.names.some((one) => NAMED.test(one));
      if (!claims && (leaf.isBody || !looksLikeReport(leaf.content))) continue;
      looked += 1;
      if (looked > FILES_MAX) return found;
      found.push(...(await openReport(name, leaf.content, budget)));
    }
  }
  return found;
}

/** The files in a file: itself, or what is in it when it is a gzip or zip, which may be in one another. */
export async function openReport(
  name: string,
  content: Buffer,
  budget: Budget = new Budget(REPORT_LIMITS),
  depth = 0,
): Promise<ReportFile[]> {
  const broken = (fault: string): ReportFile => ({ name, content, fault });
  if (content.length > REPORT_LIMITS.member) return [broken('archive.size')];
  const isGzip = content[0] === 0x1f && content[1] === 0x8b;
  const isZip = content[0] === 0x50 && content[1] === 0x4b;
  if (!isGzip && !isZip) return [{ name, content, fault: null }];
  if (depth >= REPORT_LIMITS.depth) return [broken('archive.depth')];
  const flags: string[] = [];
  const flag = (code: string) => flags.push(code);
  if (isGzip) {
    const inner = inflate(content, 'gzip', budget, flag);
    return inner === null
      ? [broken(flags[0] ?? 'archive.damaged')]
      : openReport(name.replace(/\.gz(?:ip)?$/i, ''), inner, budget, depth + 1);
  }
  const members: { name: string; content: Buffer }[] = [];
  let unreadable = false;
  await walkZip(content, budget, {
    flag,
    async member(member) {
      const inner = member.names[0] ?? name;
      // A folder, or what a Mac adds.
      if (inner.endsWith('/') || inner.startsWith('__MACOSX/')) return;
      if (member.content === null) unreadable = true;
      else members.push({ name: inner, content: member.content });
    },
  });
  const fault = flags.find((code) => BOUNDS.has(code));
  if (fault !== undefined || unreadable || members.length === 0)
    return [broken(fault ?? flags[0] ?? 'archive.damaged')];
  const opened: ReportFile[] = [];
  for (const member of members) opened.push(...(await openReport(member.name, member.content, budget, depth + 1)));
  return opened;
}

/** What makes a whole archive one that is not taken; an odd layout does not. */
const BOUNDS: ReadonlySet<string> = new Set([
  'archive.entries',
  'archive.size',
  'archive.ratio',
  'archive.work',
  'archive.damaged',
]);

function looksLikeReport(content: Buffer): boolean {
  if (content[0] === 0x1f && content[1] === 0x8b) return true;
  if (content[0] === 0x50 && content[1] === 0x4b) return true;
  const start = content.toString('latin1', 0, 2_048);
  return (
    /^[\s\u00ef\u00bb\u00bf]*(?:<\?xml|<(?:\w+:)?feedback\b)/.test(start) ||
    /^\s*\{[\s\S]*"(?:organization-name|policies)"/.test(start)
  );
}
