import { SYMBOLS } from '../../src/pipeline/symbols.ts';

/** The table of docs/filtering.md. */
export function symbolTable(): string {
  const rows = Object.entries(SYMBOLS).map(([code, symbol]) => {
    const verdict = 'verdict' in symbol ? symbol.verdict : 'phishy' in symbol ? '(phish over the threshold)' : '';
    return `| \`${code}\` | ${symbol.weight} | ${verdict} | ${symbol.words} |`;
  });
  return ['| code | weight | verdict | what it says |', '|---|---|---|---|', ...rows].join('\n');
}
