import type { TestContext } from 'node:test';
import type { TestServer } from './http.ts';

export interface ServerEvent {
  readonly event: string;
  readonly data: {
    readonly data?: Record<string, unknown> | null;
    readonly errors?: readonly { readonly message: string; readonly extensions: { readonly code: string } }[];
  } | null;
}

export interface EventReader {
  readonly status: number;
  readonly type: string | null;
  /** The next event; null when the stream has ended. Comments are passed over. */
  next(): Promise<ServerEvent | null>;
  close(): void;
}

/** Begins a subscription with server-sent events; it listens when this answers. Closed at the end of the test. */
export async function openEvents(
  t: TestContext,
  server: TestServer,
  key: string,
  query: string,
  variables: object = {},
): Promise<EventReader> {
  const abort = new AbortController();
  t.after(() => abort.abort());
  const response = await fetch(`${server.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${key}` },
    body: JSON.stringify({ query, variables }),
    signal: abort.signal,
  });
  const events = parse(response);
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    next: async () => (await events.next()).value ?? null,
    close: () => abort.abort(),
  };
}

async function* parse(response: Response): AsyncGenerator<ServerEvent, undefined> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const lines = text.slice(0, end).split('\n');
      text = text.slice(end + 2);
      const field = (name: string) =>
        lines
          .find((line) => line.startsWith(`${name}:`))
          ?.slice(name.length + 1)
          .trim();
      const event = field('event');
      if (event === undefined) continue;
      const data = field('data') ?? '';
      yield { event, data: data === '' ? null : (JSON.parse(data) as ServerEvent['data']) };
    }
  }
}
