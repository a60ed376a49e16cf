/** One message with its label and what the filter said. */
export interface Scored {
  readonly file: string;
  readonly isSpam: boolean;
  readonly score: number;
  /** The verdict is one that keeps the message from the reader. */
  readonly isCaught: boolean;
  readonly codes: readonly string[];
}

export interface Summary {
  readonly messages: { readonly ham: number; readonly spam: number };
  /** Chance that a spam message has a higher score than a ham message; ties count half. Null, as all rates: nothing to tell it from. */
  readonly auc: number | null;
  readonly falsePositiveRate: number | null;
  readonly recall: number | null;
  /** Recall at the lowest score threshold that keeps the false-positive rate within the key. */
  readonly recallAtFpr: Readonly<Record<'0.001' | '0.005' | '0.01', number | null>>;
}

export function summary(scored: readonly Scored[]): Summary {
  const ham = scored.filter((one) => !one.isSpam);
  const spam = scored.filter((one) => one.isSpam);
  return {
    messages: { ham: ham.length, spam: spam.length },
    auc: round(auc(ham, spam)),
    falsePositiveRate: round(share(ham, (one) => one.isCaught)),
    recall: round(share(spam, (one) => one.isCaught)),
    recallAtFpr: {
      '0.001': round(recallAt(ham, spam, 0.001)),
      '0.005': round(recallAt(ham, spam, 0.005)),
      '0.01': round(recallAt(ham, spam, 0.01)),
    },
  };
}

function auc(ham: readonly Scored[], spam: readonly Scored[]): number | null {
  if (ham.length === 0 || spam.length === 0) return null;
  const all = [...ham, ...spam].toSorted((a, b) => a.score - b.score);
  let rankSum = 0;
  for (let start = 0; start < all.length; ) {
    let end = start;
    while (end < all.length && all[end]?.score === all[start]?.score) end += 1;
    const rank = (start + 1 + end) / 2;
    rankSum += rank * all.slice(start, end).filter((one) => one.isSpam).length;
    start = end;
  }
  return (rankSum - (spam.length * (spam.length + 1)) / 2) / (ham.length * spam.length);
}

/** Spam above the threshold that lets at most `rate` of the ham through as false positives. */
function recallAt(ham: readonly Scored[], spam: readonly Scored[], rate: number): number | null {
  if (ham.length === 0) return null;
  const scores = ham.map((one) => one.score).toSorted((a, b) => b - a);
  const allowed = Math.floor(rate * ham.length);
  const threshold = scores[allowed] ?? Number.NEGATIVE_INFINITY;
  return share(spam, (one) => one.score > threshold);
}

function share(list: readonly Scored[], test: (one: Scored) => boolean): number | null {
  return list.length === 0 ? null : list.filter(test).length / list.length;
}

function round(value: number | null): number | null {
  return value === null ? null : Math.round(value * 10_000) / 10_000;
}
