import { measureDetection, measureForecast } from '../support/detection.ts';

/** Prints the tables of docs/insights.md: `node dist/test/bench/insights.js`. The seed is fixed: every run prints the same. */
const CLIENTS = 3_000;
const percent = (part: number) => `${(100 * part).toFixed(0)} %`;

const lines = ['| level | 3x spikes found | false alarms a client-year | said |', '|---|---|---|---|'];
for (const level of [2, 20, 200, 2_000]) {
  const { found, falseAlarms } = measureDetection(level, CLIENTS);
  lines.push(
    `| ${level} a day | ${percent(found)} | ${falseAlarms.toFixed(1)} | ${level < 10 ? 'too few' : 'judged'} |`,
  );
}
const spoiled = measureDetection(2_000, CLIENTS, { oldSpike: 5 });
lines.push(`| 2000, one old 5x spike | ${percent(spoiled.found)} | ${spoiled.falseAlarms.toFixed(1)} | judged |`);
lines.push(
  '',
  '| level | days ahead | growth in half a year | error of a day | within 80 % | within 95 % |',
  '|---|---|---|---|---|---|',
);
for (const [level, ahead, growth] of [
  [20, 14, 1],
  [200, 14, 1],
  [200, 28, 1],
  [2_000, 28, 1],
  [200, 28, 2],
  [200, 28, 0.5],
] as const) {
  const result = measureForecast(level, 300, ahead, growth);
  lines.push(
    `| ${level} | ${ahead} | ${growth === 1 ? 'none' : `times ${growth}`} | ${percent(result.relativeError)} of the level | ${percent(result.coverage80)} | ${percent(result.coverage95)} |`,
  );
}
process.stdout.write(`${lines.join('\n')}\n`);
