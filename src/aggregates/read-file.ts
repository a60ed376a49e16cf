import { openReport, type ReportFile, reportFilesOf } from '../mail/report-files.ts';
import { readDmarc } from './dmarc.ts';
import { type AggregateReport, ReportFault } from './report.ts';
import { readTls } from './tls.ts';

/** What came of one file: its reports, or why there are none. */
export interface ReadFile {
  readonly name: string;
  readonly content: Buffer;
  readonly result: { readonly reports: readonly AggregateReport[] } | { readonly fault: string };
}

/** The reports in a message. Null: too large; empty: there is none in it. Never throws for what the message holds. */
export async function readMail(source: Buffer | string, now: Date): Promise<ReadFile[] | null> {
  const files = await reportFilesOf(source);
  if (files === null) return null;
  const read: ReadFile[] = [];
  for (const file of files) read.push(await readOne(file, now));
  return read;
}

/** The reports in a file: .xml, .json, .gz, .zip, or a message (.eml). Known by its content. */
export async function readReports(name: string, content: Buffer, now: Date): Promise<ReadFile[]> {
  if (/\.eml$/i.test(name)) {
    const found = await readMail(content, now);
    if (found !== null && found.length > 0) return found;
    return [{ name, content, result: { fault: found === null ? 'size' : 'none' } }];
  }
  const read: ReadFile[] = [];
  for (const file of await openReport(name, content)) read.push(await readOne(file, now));
  return read;
}

async function readOne({ name, content, fault }: ReportFile, now: Date): Promise<ReadFile> {
  if (fault !== null) return { name, content, result: { fault } };
  try {
    const text = textOf(content);
    const start = text.trimStart()[0];
    if (start === '{') return { name, content, result: { reports: readTls(text, now) } };
    if (start !== '<') throw new ReportFault('format');
    return { name, content, result: { reports: [await readDmarc(text, now)] } };
  } catch (error) {
    if (!(error instanceof ReportFault)) throw error;
    return { name, content, result: { fault: error.code } };
  }
}

const DECLARED = /^<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.-]{1,40})["']/i;

/** By its byte order mark, else as the XML declares. Throws `encoding`. */
function textOf(content: Buffer): string {
  const declared = DECLARED.exec(content.toString('latin1', 0, 300))?.[1] ?? 'utf-8';
  const marked =
    content[0] === 0xff && content[1] === 0xfe
      ? 'utf-16le'
      : content[0] === 0xfe && content[1] === 0xff
        ? 'utf-16be'
        : null;
  try {
    // An encoding that is declared in readable ASCII is not UTF-16, whatever it says.
    return new TextDecoder(marked ?? (/^utf-?16/i.test(declared) ? 'utf-8' : declared)).decode(content);
  } catch {
    throw new ReportFault('encoding');
  }
}
