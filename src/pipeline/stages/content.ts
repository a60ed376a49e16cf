import { featuresOnce } from '../learned.ts';
import type { ContentModel } from '../model.ts';
import type { MessageStage } from '../stage.ts';
import { SYMBOLS } from '../symbols.ts';
import { hit, voteOf } from '../votes.ts';

/** How log-odds become points; scripts/fit.mjs uses the same. */
export const CONTENT = Object.freeze({
  /** Log-odds at which the model has said half of what it may say. */
  softness: 0.9,
  /** Features below which the model is believed in proportion only: of two words nobody can tell anything. */
  enough: 80,
});

/**
 * The linear model's opinion, pressed into the bounds of the symbols table: a model that was trained on some mail calls
 * ordinary mail of another kind spam, so it supports other evidence and never decides (decide.ts limits it once more, to a
 * share of the client's own threshold).
 */
export function contentStage(model: ContentModel): MessageStage {
  return ({ mail }) => {
    const margin = marginOf(model, featuresOnce(mail));
    const bounded = Math.tanh(margin / (2 * CONTENT.softness));
    const code = bounded >= 0 ? 'content.spam' : 'content.ham';
    const score = Math.abs(bounded) * SYMBOLS[code].weight;
    return voteOf('content', Math.abs(bounded) < 0.05 ? [] : [hit(code, `log-odds ${margin.toFixed(1)}`, score)]);
  };
}

/** Log-odds of spam, believed in proportion where there is little to read. */
export function marginOf(model: ContentModel, features: Uint32Array): number {
  return model.margin(features) * Math.min(1, features.length / CONTENT.enough);
}
