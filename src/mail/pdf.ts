import type { Budget, Visitor } from './budget.ts';
import { inflate } from './inflate.ts';

const SCAN_MAX = 32 * 1024 * 1024;
const STREAMS_MAX = 200;
const NAME_WITHIN = 4096;

export interface PdfFindings {
  /** `pdf.javascript`, `pdf.launch`, `pdf.embedded_file`: honest documents have them too, a program started by one does not. */
  readonly active: readonly string[];
  readonly suspicious: readonly string[];
}

/**
 * What a PDF does by itself, by the names of its dictionaries (ISO 32000-1), also where they are written with `#xx` and where
 * they lie in compressed object streams. The files embedded in it are shown to the visitor.
 */
export async function inspectPdf(content: Buffer, budget: Budget, visitor: Visitor): Promise<PdfFindings> {
  const text = content.toString('latin1', 0, SCAN_MAX);
  const texts = [plainNames(text)];
  const active = new Set<string>();
  for (const { dictionary, body } of streams(content, text)) {
    if (/\/ObjStm\b/.test(dictionary)) {
      const inner = body(budget);
      if (inner !== null) texts.push(plainNames(inner.toString('latin1')));
    } else if (/\/EmbeddedFile\b/.test(dictionary)) {
      active.add('pdf.embedded_file');
      if (!budget.takeEntry()) {
        visitor.flag('archive.entries');
        break;
      }
      const file = body(budget);
      await visitor.member({ names: ['embedded'], content: file, bytes: file?.length ?? 0, encrypted: false });
    }
  }
  let launch = false;
  for (const one of texts) {
    if (/\/(?:JavaScript|JS)\b/.test(one)) active.add('pdf.javascript');
    if (/\/EmbeddedFiles?\b/.test(one)) active.add('pdf.embedded_file');
    if (/\/S\s*\/Launch\b/.test(one)) launch = true;
    // The names under which a reader offers them.
    for (const match of one.matchAll(/\/U?F\s*\(([^()\\]{1,255})\)/g)) {
      if (active.has('pdf.embedded_file') && /\.[A-Za-z0-9_-]{1,20}$/.test(match[1] ?? '')) {
        if (!budget.takeEntry()) break;
        await visitor.member({ names: [match[1] ?? ''], content: null, bytes: 0, encrypted: false });
      }
    }
  }
  if (launch) active.add('pdf.launch');
  return { active: [...active].sort(), suspicious: launch ? ['pdf.launch'] : [] };
}

/** `/J#61vaScript` is `/JavaScript`. */
function plainNames(text: string): string {
  return text.includes('#')
    ? text.replace(/#([2-7][0-9a-f])/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    : text;
}

interface Stream {
  readonly dictionary: string;
  body(budget: Budget): Buffer | null;
}

/** Streams with the dictionary in front of them, up to a number; only those that matter here are inflated by the caller. */
function* streams(content: Buffer, text: string): Generator<Stream> {
  let seen = 0;
  for (let at = text.indexOf('stream'); at >= 0 && seen < STREAMS_MAX; at = text.indexOf('stream', at + 6)) {
    if (text.slice(at - 3, at) === 'end') continue;
    const after = text[at + 6];
    if (after !== '\r' && after !== '\n') continue;
    const from = Math.max(text.lastIndexOf('obj', at), at - NAME_WITHIN);
    const dictionary = plainNames(text.slice(from, at));
    if (!/\/(?:ObjStm|EmbeddedFile)\b/.test(dictionary)) continue;
    seen += 1;
    const start = at + 6 + (after === '\r' && text[at + 7] === '\n' ? 2 : 1);
    const found = text.indexOf('endstream', start);
    const data = content.subarray(start, found < 0 ? SCAN_MAX : found);
    yield {
      dictionary,
      body: (budget) => {
        if (!/\/(?:FlateDecode|Fl)\b/.test(dictionary)) return budget.takeRead(data.length) ? data : null;
        return inflate(data, 'zlib', budget, () => undefined);
      },
    };
  }
}
