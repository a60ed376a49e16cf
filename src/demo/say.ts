/** What the demo tells the person who watches; results only, no log lines. */
export interface Say {
  title(text: string): void;
  line(text: string): void;
}

export function sayTo(out: NodeJS.WriteStream): Say {
  const bold = out.isTTY ? (text: string) => `\x1b[1m${text}\x1b[0m` : (text: string) => text;
  return {
    title: (text) => out.write(`\n${bold(text)}\n`),
    line: (text) => out.write(`${text}\n`),
  };
}
