/** One metric of the Prometheus text format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/). */
export interface Metric {
  /** With the unit as suffix, `_total` for counters: `tollgate_queue_deliveries`. */
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter';
  readonly samples: readonly { readonly labels?: Readonly<Record<string, string>>; readonly value: number }[];
}

const escapeHelp = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
const escapeLabel = (text: string) => escapeHelp(text).replaceAll('"', '\\"');

/** Metrics as Prometheus reads them. */
export function writeMetrics(metrics: readonly Metric[]): string {
  return metrics
    .map((metric) => {
      const lines = metric.samples.map((sample) => {
        const labels = Object.entries(sample.labels ?? {}).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
        return `${metric.name}${labels.length === 0 ? '' : `{${labels.join(',')}}`} ${writeNumber(sample.value)}`;
      });
      return [
        `# HELP ${metric.name} ${escapeHelp(metric.help)}`,
        `# TYPE ${metric.name} ${metric.type}`,
        ...lines,
        '',
      ].join('\n');
    })
    .join('');
}

function writeNumber(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  return String(value);
}

/** Counts of answers by route, method and status. Routes are patterns, so that callers can't make series. */
export class RequestCounter {
  readonly #counts = new Map<string, { labels: Record<string, string>; count: number; seconds: number }>();

  add(route: string, method: string, status: number, milliseconds: number): void {
    const key = `${method} ${route} ${status}`;
    const entry = this.#counts.get(key) ?? { labels: { route, method, status: String(status) }, count: 0, seconds: 0 };
    entry.count += 1;
    entry.seconds += milliseconds / 1000;
    this.#counts.set(key, entry);
  }

  metrics(): Metric[] {
    const entries = [...this.#counts.values()];
    return [
      {
        name: 'tollgate_http_requests_total',
        help: 'HTTP requests answered.',
        type: 'counter',
        samples: entries.map((entry) => ({ labels: entry.labels, value: entry.count })),
      },
      {
        name: 'tollgate_http_request_seconds_total',
        help: 'Seconds spent on HTTP requests.',
        type: 'counter',
        samples: entries.map((entry) => ({ labels: entry.labels, value: entry.seconds })),
      },
    ];
  }
}
