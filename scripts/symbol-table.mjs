// Writes the table of reason codes into docs/filtering.md: `npm run build && node scripts/symbol-table.mjs`.
import { readFileSync, writeFileSync } from 'node:fs';
import { symbolTable } from '../dist/test/support/symbol-table.js';

const file = new URL('../docs/filtering.md', import.meta.url);
const text = readFileSync(file, 'utf8');
const [start, end] = ['<!-- symbols -->', '<!-- /symbols -->'];
writeFileSync(
  file,
  `${text.slice(0, text.indexOf(start) + start.length)}\n${symbolTable()}\n${text.slice(text.indexOf(end))}`,
);
