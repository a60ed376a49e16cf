/** Words that begin a line. */
const CLAUSES = new Set(
  'with select from join left cross where group having order limit offset union insert update delete set values returning for'.split(
    ' ',
  ),
);
const WIDTH = 120;

/**
 * A statement as a person reads it and a comparison wants it: white space folded, a line for each clause, indented by its depth. It hangs on
 * the statement's words alone, so that how its source is broken into lines changes nothing. Parameters stay `$1`, `$2`.
 */
export function layOut(statement: string): string {
  const lines: string[] = [];
  let line = '';
  let depth = 0;
  let indent = 0;
  const end = () => {
    if (line !== '') lines.push(`${'  '.repeat(Math.min(indent, 12))}${line}`);
    line = '';
    indent = depth;
  };
  for (const word of statement.trim().split(/\s+/)) {
    // `left(` and `values(` are words of their own; `(select` begins a clause behind its bracket.
    if (CLAUSES.has(word) && !line.endsWith('left')) end();
    const width = indent * 2 + line.length + word.length + 1;
    if (width > WIDTH && line !== '') {
      end();
      indent = depth + 1;
    }
    line = line === '' ? word : `${line} ${word}`;
    for (const sign of word) {
      if (sign === '(') depth += 1;
      if (sign === ')') depth = Math.max(0, depth - 1);
    }
  }
  end();
  return lines.join('\n');
}

/** The statements of a golden case as a file: each once, with how often it ran, in an order that does not hang on who came first. */
export function sqlFile(statements: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const one of statements) counts.set(one, (counts.get(one) ?? 0) + 1);
  const parts = [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([text, count]) => `${count === 1 ? '' : `-- ${count} times\n`}${layOut(text)};\n`);
  return parts.join('\n');
}
