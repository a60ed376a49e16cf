import pg from 'pg';

const RECONNECT_MS = 1_000;

/** See Database.listen. */
export async function listenOn(
  url: string,
  channel: string,
  onMessage: (payload: string) => void,
): Promise<() => Promise<void>> {
  let closed = false;
  let current: pg.Client | null = null;
  let timer: NodeJS.Timeout | undefined;

  const connect = async (): Promise<void> => {
    const client = new pg.Client({ connectionString: url, keepAlive: true });
    client.on('error', () => reconnect(client));
    client.on('end', () => reconnect(client));
    client.on('notification', (message) => onMessage(message.payload ?? ''));
    await client.connect();
    await client.query(`listen ${client.escapeIdentifier(channel)}`);
    current = client;
  };

  const reconnect = (client: pg.Client): void => {
    if (closed || (current !== null && current !== client) || timer !== undefined) return;
    current = null;
    timer = setTimeout(() => {
      timer = undefined;
      connect().then(
        () => onMessage(''),
        () => reconnect(client),
      );
    }, RECONNECT_MS);
    timer.unref();
  };

  await connect();
  return async () => {
    closed = true;
    clearTimeout(timer);
    await current?.end();
  };
}
