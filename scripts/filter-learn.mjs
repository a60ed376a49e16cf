// The learners: a logistic regression over hashed features, and one over symbols with signs and priors. Both are the same, byte
// for byte, for the same rows.
import { BUCKETS } from '../dist/src/pipeline/features.js';

/** The same numbers in every run. */
export function generator(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

export const OPTIONS = {
  epochs: 60,
  rate: 2,
  /** L2: weights that only a few messages support stay small. */
  decay: 3e-4,
  /** A generated message stands for many of its kind, which public corpora do not hold. */
  generated: 3,
  /** The same for generated ham: the corpus has so much spam in HTML and so little ham that mail of today would be taken for the former. */
  generatedHam: 8,
  /** Commercial newsletters are rare in the corpus and stand for much of what is sent. */
  hard: 20,
};

/** Stochastic gradient descent; the margin is scaled by the root of the number of features, as in model.ts. */
export function trainContent(rows, options = {}) {
  const { epochs, rate: first, decay, generated, generatedHam, hard } = { ...OPTIONS, ...options };
  const order = rows.map((row) => ({
    features: row.features,
    label: row.isSpam ? 1 : 0,
    weight:
      row.source !== 'corpus' && row.source !== 'dressed'
        ? row.isSpam
          ? generated
          : generatedHam
        : row.kind === 'hard-ham-1'
          ? hard
          : 1,
    isCorpus: row.source === 'corpus',
  }));
  const corpusSpam = order.filter((row) => row.label === 1 && row.isCorpus).length;
  const corpusHam = order.filter((row) => row.label === 0 && row.isCorpus).length;
  const balance = corpusSpam === 0 ? 1 : corpusHam / corpusSpam;
  const weights = new Float32Array(BUCKETS);
  let bias = 0;
  const random = generator(12345);
  for (let epoch = 0; epoch < epochs; epoch += 1) {
    for (let at = order.length - 1; at > 0; at -= 1) {
      const other = Math.floor(random() * (at + 1));
      [order[at], order[other]] = [order[other], order[at]];
    }
    const rate = first / (1 + epoch / 4);
    for (const { features, label, weight, isCorpus } of order) {
      const scale = 1 / Math.sqrt(Math.max(features.length, 1));
      let margin = bias;
      for (const feature of features) margin += weights[feature] * scale;
      const error = (label - 1 / (1 + Math.exp(-margin))) * weight * (label === 1 && isCorpus ? balance : 1);
      const step = Math.max(-2, Math.min(2, error)) * rate;
      for (const feature of features) weights[feature] += step * scale - rate * decay * weights[feature];
      bias += step * 0.1;
    }
  }
  return { weights, bias };
}

export function marginOf({ weights, bias }, features) {
  let sum = 0;
  for (const feature of features) sum += weights[feature];
  return bias + sum / Math.sqrt(Math.max(features.length, 1));
}

/** Log-odds of every row by models that have not seen it: five folds, all variants of a template in one. */
export function outOfFold(rows, options = {}) {
  const margins = new Float64Array(rows.length);
  for (let fold = 0; fold < 5; fold += 1) {
    const model = trainContent(
      rows.filter((row) => row.fold !== fold),
      options,
    );
    for (const [at, row] of rows.entries()) if (row.fold === fold) margins[at] = marginOf(model, row.features);
  }
  return margins;
}

/** As stages/content.ts turns log-odds into points. */
export function contentPoints(margin, features, { softness, enough, most, least }) {
  const bounded = Math.tanh((margin * Math.min(1, features / enough)) / (2 * softness));
  return bounded >= 0 ? bounded * most : -bounded * least;
}

/**
 * Weights of symbols, in points: a logistic regression of spam on the sum of points, in which every weight keeps the sign that it was
 * set with by hand, stays between `low` and `high` times that value, and is drawn to it as if `strength` messages spoke for
 * it, so that a symbol which training mail hardly has keeps its prior. Ham counts `ham` times: a false positive costs more than
 * a miss. Projected gradient descent, from the priors.
 */
export function fitWeights(rows, priors, options = {}) {
  const { centre = 4.5, strength = 40, low = 0.5, high = 1.8, most = 4.5, ham = 6, steps = 400, rate = 0.5 } = options;
  const codes = Object.keys(priors);
  const index = new Map(codes.map((code, at) => [code, at]));
  const hand = Float64Array.from(codes, (code) => priors[code]);
  const weights = Float64Array.from(hand);
  const count = new Float64Array(codes.length);
  const data = rows.map(({ codes: hits, points, isSpam, weight }) => {
    const found = [...new Set(hits)].map((code) => index.get(code)).filter((at) => at !== undefined);
    const share = weight * (isSpam ? 1 : ham);
    for (const at of found) count[at] += share;
    return { found, points, label: isSpam ? 1 : 0, share };
  });
  const gradient = new Float64Array(codes.length);
  for (let step = 0; step < steps; step += 1) {
    gradient.fill(0);
    for (const { found, points, label, share } of data) {
      let score = points;
      for (const at of found) score += weights[at];
      const error = (label - 1 / (1 + Math.exp(centre - score))) * share;
      for (const at of found) gradient[at] += error;
    }
    for (let at = 0; at < weights.length; at += 1) {
      const pull = (strength * (hand[at] - weights[at])) / (hand[at] * hand[at] + 0.25);
      const moved = weights[at] + (rate * (gradient[at] + 0.25 * pull)) / (count[at] * 0.25 + strength);
      const [a, b] = [low * hand[at], Math.sign(hand[at]) * Math.min(most, high * Math.abs(hand[at]))];
      weights[at] = Math.max(Math.min(a, b), Math.min(Math.max(a, b), moved));
    }
  }
  return Object.fromEntries(codes.map((code, at) => [code, Math.round(weights[at] * 10) / 10]));
}
