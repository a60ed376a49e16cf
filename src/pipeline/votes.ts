import { printable } from '../core/address.ts';
import { type Reason, type Verdict, type Vote, worse } from '../core/verdict.ts';
import { type StageName, SYMBOLS, type SymbolCode } from './symbols.ts';

/** One symbol that a stage found. */
export interface Hit {
  readonly code: SymbolCode;
  readonly detail: string;
  /** Differs from the table's weight only for symbols whose strength varies (the content model, outside scanners). */
  readonly score: number;
}

/** `detail` may quote the message: it is cut and cleaned here. Empty: the words of the table say it all. */
export function hit(code: SymbolCode, detail = '', score: number = SYMBOLS[code].weight): Hit {
  return { code, detail: printable(detail, 200), score };
}

/** The vote of a stage: its hits added up, the worst of their verdicts. */
export function voteOf(stage: StageName, hits: readonly Hit[]): Vote {
  let verdict: Verdict | undefined;
  let score = 0;
  for (const one of hits) {
    score += one.score;
    const row = symbolOf(one.code);
    if (row?.verdict !== undefined) verdict = verdict === undefined ? row.verdict : worse(verdict, row.verdict);
  }
  const reasons: Reason[] = hits.map(({ code, detail }) => ({ code, detail }));
  return verdict === undefined ? { stage, score, reasons } : { stage, score, reasons, verdict };
}

/** The row of a code; null for codes of outside scanners, which have no row of their own. */
export function symbolOf(code: string): {
  readonly stage: StageName;
  readonly weight: number;
  readonly words: string;
  readonly verdict?: Verdict;
  readonly phishy?: true;
  readonly form?: true;
} | null {
  return Object.hasOwn(SYMBOLS, code) ? SYMBOLS[code as SymbolCode] : null;
}
