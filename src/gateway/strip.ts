import { FILTER_CLASSES, type FilterClass, type Policy } from '../core/message.ts';
import type { Decision } from '../core/verdict.ts';
import type { Inspection } from '../mail/types.ts';

const CODE = 'policy.strip_';

/** What makes a file one of a class: the same findings as those of the pipeline's attachments stage. */
const IS: Readonly<Record<FilterClass, (found: Inspection) => boolean>> = {
  executable: (found) => found.executable,
  macro: (found) => found.macro,
  encrypted_archive: (found) => found.encrypted,
  suspicious_archive: (found) => found.suspicious.length > 0,
  html_smuggling: (found) => found.htmlSmuggling,
};

/**
 * A decision to strip, with a reason `policy.strip_<class>` for every class that the recipient's policy takes out of this
 * message; delivery strips those and nothing else. HTML that builds a file may be the text of the message, which nobody can
 * take out, and without a class it is not clear what to take out: such mail is quarantined.
 */
export function stripDecision(decision: Decision, policy: Policy): Decision {
  if (decision.action !== 'strip') return decision;
  const codes = new Set(decision.reasons.map((reason) => reason.code));
  const classes = FILTER_CLASSES.filter((one) => policy.attachments[one] === 'strip' && codes.has(`attachment.${one}`));
  if (classes.length === 0 || classes.includes('html_smuggling')) {
    const reason = { code: 'policy.strip_downgraded', detail: 'what is unwanted cannot be taken out for sure' };
    return { ...decision, action: 'quarantine', reasons: [...decision.reasons, reason] };
  }
  const reasons = classes.map((one) => ({
    code: `${CODE}${one}`,
    detail: 'files of this class are taken out by policy',
  }));
  return { ...decision, reasons: [...decision.reasons, ...reasons] };
}

/** The classes to take out, from the reasons of a delivery. */
export function stripClasses(reasons: Decision['reasons']): FilterClass[] {
  const codes = new Set(reasons.map((reason) => reason.code));
  return FILTER_CLASSES.filter((one) => codes.has(`${CODE}${one}`));
}

export function isOneOf(classes: readonly FilterClass[], found: Inspection): boolean {
  return classes.some((one) => IS[one](found));
}
