/** What the usage of a command asks for: it is read by people and by the program, so that the two cannot differ. */
export interface Needs {
  /** Of each group one option at least must be there. */
  readonly groups: readonly (readonly string[])[];
  /** `--plan` of `[--partner ID [--plan ID]]` is nothing without `--partner`. */
  readonly within: ReadonlyMap<string, string>;
}

/** Reads `--client ID | --partner ID --delivery ID ... [--allow]`: what stands in no brackets is needed; ` | ` joins alternatives. */
export function needsOf(usage: string): Needs {
  const groups: string[][] = [];
  const within = new Map<string, string>();
  /** The first option of each bracket that is open. */
  const open: (string | null)[] = [];
  let isOther = false;
  for (const [token] of usage.matchAll(/[[\]]|--[a-z0-9-]+| \| /g)) {
    if (token === '[') open.push(null);
    else if (token === ']') open.pop();
    else if (token === ' | ') isOther = open.length === 0;
    else {
      const name = token.slice(2);
      const outer = open.at(-2) ?? null;
      if (outer !== null) within.set(name, outer);
      if (open.length > 0 && open.at(-1) === null) open[open.length - 1] = name;
      if (open.length === 0) {
        if (isOther) groups.at(-1)?.push(name);
        else groups.push([name]);
        isOther = false;
      }
    }
  }
  return { groups, within };
}
