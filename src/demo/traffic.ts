import { createTransport, type Transporter } from 'nodemailer';
import type { DemoMail } from './corpus.ts';
import type { DemoClient } from './world.ts';

/** One transaction to be carried out. */
export interface Planned {
  readonly mail: DemoMail;
  readonly recipients: readonly string[];
}

/** What was sent, counted at the sender, per client. */
export interface SentCounts {
  messages: number;
  deliveries: number;
  refused: number;
}

/**
 * Spreads messages over the clients: most to one mailbox, every 7th to several of one client, every 11th to two clients,
 * every 13th to an unknown recipient beside a known one, every 17th to an alias, every 19th to a group. The unknown are one
 * for each client: with ten different ones the sender would be taken for a directory harvest.
 */
export function planTraffic(mails: readonly DemoMail[], clients: readonly DemoClient[]): Planned[] {
  return mails.map((mail, index) => {
    const client = pick(clients, index);
    const other = pick(clients, index + 1);
    const recipients = new Set<string>([pick(client.mailboxes, Math.floor(index / clients.length))]);
    if (index % 7 === 0) for (let n = 1; n <= 3; n += 1) recipients.add(pick(client.mailboxes, index + n));
    if (index % 11 === 0) recipients.add(pick(other.mailboxes, index));
    if (index % 13 === 0) recipients.add(`nobody-here@${client.domain}`);
    if (index % 17 === 0) recipients.add(client.alias);
    if (index % 19 === 0) recipients.add(client.group);
    return { mail, recipients: [...recipients] };
  });
}

function pick<T>(list: readonly T[], index: number): T {
  const item = list[index % list.length];
  if (item === undefined) throw new Error('the list is empty');
  return item;
}

/** Sends over `connections` kept SMTP connections and counts what the gateway answered. */
export async function sendTraffic(
  smtp: { host: string; port: number },
  planned: readonly Planned[],
  clients: readonly DemoClient[],
  connections: number,
  onSent: () => void,
): Promise<Map<string, SentCounts>> {
  const transport = createTransport({
    pool: true,
    maxConnections: connections,
    maxMessages: Number.POSITIVE_INFINITY,
    host: smtp.host,
    port: smtp.port,
    secure: false,
    ignoreTLS: true,
    name: 'mail.sender.example',
  });
  const counts = new Map(clients.map((client) => [client.id, { messages: 0, deliveries: 0, refused: 0 }]));
  try {
    await Promise.all(
      planned.map(async (one) => {
        await sendOne(transport, one, clients, counts);
        onSent();
      }),
    );
  } finally {
    transport.close();
  }
  return counts;
}

async function sendOne(
  transport: Transporter,
  planned: Planned,
  clients: readonly DemoClient[],
  counts: ReadonlyMap<string, SentCounts>,
): Promise<void> {
  const info = (await transport.sendMail({
    envelope: { from: planned.mail.sender, to: [...planned.recipients] },
    raw: planned.mail.raw,
  })) as { accepted: string[]; rejected: string[] };
  for (const client of clients) {
    const own = (address: string) => address.endsWith(`@${client.domain}`);
    const count = counts.get(client.id);
    const accepted = info.accepted.filter(own).length;
    if (count === undefined) continue;
    count.deliveries += accepted;
    count.refused += info.rejected.filter(own).length;
    if (accepted > 0) count.messages += 1;
  }
}
