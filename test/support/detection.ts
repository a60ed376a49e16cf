import { addDays } from '../../src/core/period.ts';
import { judgeDay } from '../../src/insights/anomalies.ts';
import { type DayCount, fitBaseline, HISTORY_DAYS } from '../../src/insights/baseline.ts';
import { backTest } from '../../src/insights/forecast.ts';
import { randomOf, simulateDays, simulateSpike } from './simulated.ts';

export interface Detection {
  /** Part of the 3x spikes that were found. */
  readonly found: number;
  /** Days without a spike that were called unusual, for each client and year. */
  readonly falseAlarms: number;
}

/** How well 3x spikes are found: `clients` clients with 8 weeks of history each, one ordinary and one 3x day after it. */
export function measureDetection(
  level: number,
  clients: number,
  options: { oldSpike?: number; seed?: number } = {},
): Detection {
  const random = randomOf(options.seed ?? 20_261_014);
  let [found, alarms, ordinary] = [0, 0, 0];
  for (let client = 0; client < clients; client += 1) {
    const all = simulateDays(random, level, HISTORY_DAYS + 7);
    const history = all
      .slice(0, HISTORY_DAYS)
      .map(
        (day, index): DayCount =>
          index === 30 && options.oldSpike !== undefined
            ? simulateSpike(random, level, day.date, options.oldSpike)
            : day,
      );
    const baseline = fitBaseline(history);
    // What is too low for a judgement is measured all the same, to show why nothing is said there.
    const forced = { ...baseline, state: 'judged' as const };
    for (const day of all.slice(HISTORY_DAYS)) {
      ordinary += 1;
      if (judgeDay(forced, day).judgement !== 'usual') alarms += 1;
    }
    const date = addDays('2026-01-05', HISTORY_DAYS + (client % 7));
    if (judgeDay(forced, simulateSpike(random, level, date, 3)).judgement === 'high') found += 1;
  }
  return { found: found / clients, falseAlarms: (365 * alarms) / ordinary };
}

/** The back-test of forecasts over `clients` clients of a level with half a year each. `growth` is the factor over that time. */
export function measureForecast(level: number, clients: number, ahead: number, growth = 1, seed = 20_261_014) {
  const random = randomOf(seed);
  const results = Array.from({ length: clients }, () => {
    const days = simulateDays(random, level, 182).map(({ date, count }, index) => ({
      date,
      count: count === null ? null : Math.round(count * growth ** (index / 182)),
    }));
    return backTest(days, ahead);
  }).filter((one) => one !== null);
  const mean = (pick: (one: (typeof results)[number]) => number) =>
    results.reduce((sum, one) => sum + pick(one), 0) / results.length;
  return {
    meanAbsoluteError: mean((one) => one.meanAbsoluteError),
    relativeError: mean((one) => one.relativeError),
    coverage80: mean((one) => one.coverage80),
    coverage95: mean((one) => one.coverage95),
  };
}
