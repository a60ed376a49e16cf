import type { Reason, Verdict } from '../core/verdict.ts';
import { SYMBOLS, type SymbolCode } from '../pipeline/symbols.ts';

const VERDICT_WORDS: Readonly<Record<Verdict, string>> = {
  clean: 'Nothing was found',
  bulk: 'Advertising or a newsletter',
  spam: 'Spam',
  spoof: 'The sender is not who the message says',
  phish: 'It tries to get passwords or money',
  policy: 'It holds something that your rules do not allow',
  unscannable: 'It could not be read to the end, so nobody knows what is in it',
  malware: 'It holds a harmful program',
};

/** By the first part of a machine code: `attachment.executable` is of the family `attachment`. */
const FAMILY_WORDS: Readonly<Record<string, string>> = {
  attachment: 'an attachment',
  archive: 'an archive that is attached',
  auth: 'proof of the sender',
  authentication: 'proof of the sender',
  content: 'the text',
  list: 'an allow or block list',
  link: 'a link',
  links: 'a link',
  parse: 'a part that cannot be read',
  policy: 'your rules',
  recipient: 'the recipient',
  headers: 'the header',
  trace: 'the way that it came',
};

/** What a verdict means, for people who do not run mail servers. */
export function verdictWords(verdict: Verdict): string {
  return VERDICT_WORDS[verdict];
}

const LIST_WORDS: Readonly<Record<string, string>> = {
  mailbox: "this mailbox's block list",
  client: "your company's block list",
  partner: "your provider's block list",
  master: "the operator's block list",
};

/** The detail of a list's reason is `pattern (scope)`. */
function blockWords(detail: string): string {
  const [, pattern = detail, scope = ''] = /^(.*) \((\w+)\)$/.exec(detail) ?? [];
  return `${pattern === '' ? 'the sender' : pattern} is on ${LIST_WORDS[scope] ?? 'a block list'}`;
}

/** Without what is for readers of the table of reasons: that its weight is the most it gives, and the content model's odds. */
function symbolWords(words: string, detail: string): string {
  const plain = words.replace(/ \(at most[^)]*\)$/, '');
  return detail === '' || detail.startsWith('log-odds ') ? plain : `${plain}: ${detail}`;
}

/** What is said of a held message in a word or two: what a block list holds is no spam for that. */
export function heldWords(verdict: Verdict, reasons: readonly Reason[]): string {
  const isBlocked = verdict === 'spam' && reasons.some((one) => one.code === 'list.block');
  return isBlocked ? 'Blocked' : verdictWords(verdict);
}

/**
 * Why a message is where it is, one line per reason that speaks against it: the words of its code with the detail that the
 * pipeline gave; of a code that is not the pipeline's the detail, or else what it is about.
 */
export function reasonWords(reasons: readonly Reason[]): string[] {
  const lines = reasons.flatMap(({ code, detail }) => {
    const symbol: { readonly weight: number; readonly words: string } | undefined = SYMBOLS[code as SymbolCode];
    // What speaks for a message is no reason to hold it.
    if (symbol !== undefined && symbol.weight < 0) return [];
    if (code === 'list.block') return [blockWords(detail)];
    if (symbol !== undefined) return [symbolWords(symbol.words, detail)];
    if (detail !== '') return detail;
    const family = FAMILY_WORDS[code.slice(0, code.indexOf('.'))];
    return family === undefined ? code : `Because of ${family}`;
  });
  return [...new Set(lines)];
}
