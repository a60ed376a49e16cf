/** A command's result: one line of JSON, or a `name  value` line per field for people. */
export function printResult(output: Readonly<Record<string, unknown>>, json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(output)}\n`);
    return;
  }
  const width = Math.max(0, ...Object.keys(output).map((name) => name.length));
  for (const [name, value] of Object.entries(output)) {
    const text =
      typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
        ? String(value)
        : JSON.stringify(value, null, 2);
    process.stdout.write(`${name.padEnd(width)}  ${text}\n`);
  }
}
