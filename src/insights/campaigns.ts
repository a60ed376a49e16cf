/** What a message shares with others of a campaign. */
export interface TraitRow {
  readonly messageId: string;
  readonly kind: 'payload' | 'link' | 'subject';
  readonly digest: string;
}

/** Messages that hang together, with the traits that at least two of them share. */
export interface Cluster {
  readonly messageIds: readonly string[];
  readonly shared: readonly Pick<TraitRow, 'kind' | 'digest'>[];
}

/**
 * Messages that share any trait, directly or through others, as clusters of at least two deliveries' messages; a message with
 * no shared trait is a cluster of its own, since one message can go to many mailboxes. Union-find with path halving: close to
 * linear in the rows, which the caller bounds.
 */
export function clusterTraits(rows: readonly TraitRow[]): Cluster[] {
  const parent = new Map<string, string>();
  const find = (key: string): string => {
    let at = key;
    for (;;) {
      const up = parent.get(at) ?? at;
      if (up === at) return at;
      const above = parent.get(up) ?? up;
      parent.set(at, above);
      at = above;
    }
  };
  const firstOf = new Map<string, string>();
  const seenIn = new Map<string, number>();
  for (const { messageId, kind, digest } of rows) {
    if (!parent.has(messageId)) parent.set(messageId, messageId);
    const trait = `${kind} ${digest}`;
    seenIn.set(trait, (seenIn.get(trait) ?? 0) + 1);
    const first = firstOf.get(trait);
    if (first === undefined) firstOf.set(trait, messageId);
    else {
      const [a = '', b = ''] = [find(first), find(messageId)].sort();
      // The smaller id leads, so that the same rows in any order make the same clusters.
      if (a !== b) parent.set(b, a);
    }
  }
  const clusters = new Map<string, { ids: Set<string>; traits: Map<string, Pick<TraitRow, 'kind' | 'digest'>> }>();
  for (const { messageId, kind, digest } of rows) {
    const root = find(messageId);
    const cluster = clusters.get(root) ?? { ids: new Set<string>(), traits: new Map() };
    clusters.set(root, cluster);
    cluster.ids.add(messageId);
    const trait = `${kind} ${digest}`;
    if ((seenIn.get(trait) ?? 0) > 1) cluster.traits.set(trait, { kind, digest });
  }
  return [...clusters.values()]
    .map(({ ids, traits }) => ({
      messageIds: [...ids].sort(),
      shared: [...traits].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, trait]) => trait),
    }))
    .sort((a, b) => ((a.messageIds[0] ?? '') < (b.messageIds[0] ?? '') ? -1 : 1));
}
