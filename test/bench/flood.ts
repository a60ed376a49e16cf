import path from 'node:path';
import { Readable } from 'node:stream';
import pg from 'pg';
import { DEFAULT_POLICY } from '../../src/accounts/policy.ts';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/log.ts';
import { acceptanceOf } from '../../src/gateway/acceptance.ts';
import { Committer } from '../../src/gateway/commit.ts';
import { createDelivery, Spool } from '../../src/gateway/index.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { CONFIG } from '../gateway/support/rig.ts';
import { fillQueue } from '../support/queued.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { openHome } from './home.ts';
import { Child } from './process.ts';
import { type Bench, percentile } from './row.ts';

const FLOOD = 10_000;
const OTHERS = 20;
const EVERY_MS = 500;

/**
 * Twenty clients get a message every half second, each at a server of its own. How long from commit to their servers, without
 * and with 10,000 messages of another client in the queue.
 */
export const benchFlood: Bench = async ({ seconds }) => {
  const home = await openHome();
  const owner = new pg.Client({ connectionString: home.store.ownerUrl });
  await owner.connect();
  const sink = await Child.start('sink', { ports: OTHERS + 1 });
  try {
    const { db } = home.store;
    const partner = await seedPartner(db);
    const clientIds: string[] = [];
    for (const [n, port] of sink.ports.entries()) {
      const relays = [{ host: '127.0.0.1', port }];
      clientIds.push(await seedClient(db, partner.id, { domain: `c${n}.example`, mailboxes: [], relays }));
    }
    const spool = await Spool.open(path.join(home.folder, 'spool'));
    const content = await spool.write(Readable.from([Buffer.from(`Subject: x\r\n\r\n${'x'.repeat(5_000)}\r\n`)]));
    const committer = new Committer(db, 'bench');
    const delivery = createDelivery({
      db,
      clock: systemClock,
      logger: silentLogger,
      spool,
      resolver: zoneResolver({}),
      config: { nodeId: 'bench', hostName: CONFIG.hostName, allowPrivateHosts: ['127.0.0.1'] },
    });
    await delivery.start();

    const queue = async (n: number): Promise<void> => {
      const domain = `c${n}.example`;
      const now = new Date();
      const envelope = {
        sender: 'a@b.example',
        remoteAddress: '192.0.2.1',
        remoteName: null,
        helo: 'b.example',
        tls: false,
        direction: 'inbound' as const,
        authenticatedAs: null,
        receivedAt: now,
      };
      const context = {
        recipient: `t${Date.now()}@${domain}`,
        domain,
        partnerId: partner.id,
        clientId: clientIds[n] ?? '',
        mailboxId: null,
        policy: DEFAULT_POLICY,
        lists: [],
        ownDomains: [domain],
      };
      const facts = { messageId: '', fromAddress: '', fromName: '', subject: '', attachments: [] };
      const decisions = [{ verdict: 'clean' as const, action: 'deliver' as const, score: 0, reasons: [] }];
      const made = acceptanceOf(content, envelope, [context], { decisions, facts, authenticationResults: null });
      await committer.accept(made.messages);
    };
    /** Runs the others' mail for a time; answers their delays. */
    const others = async (isOver: () => boolean): Promise<number[]> => {
      const start = performance.now();
      const waiting: Promise<void>[] = [];
      for (let tick = 0; !isOver(); tick += 1) {
        // One after the other, so that their mail does not come in one moment.
        const at = start + (tick * EVERY_MS) / OTHERS;
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, at - performance.now())));
        waiting.push(queue(1 + (tick % OTHERS)));
      }
      await Promise.all(waiting);
      for (;;) {
        const { rows } = await owner.query('select 1 from queue where client_id <> $1 limit 1', [clientIds[0]]);
        if (rows.length === 0) break;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const delays = (await sink.child.ask('delays')) as { port: number; ms: number }[];
      return delays.filter((one) => one.port !== sink.ports[0]).map((one) => one.ms);
    };
    const until = (ms: number) => {
      const end = performance.now() + ms;
      return () => performance.now() >= end;
    };
    await others(until(3_000));
    const calm = await others(until(seconds * 1_000));
    const flooded = await fillQueue(owner, {
      partnerId: partner.id,
      clientIds: clientIds.slice(0, 1),
      rows: FLOOD,
      now: new Date(),
      domains: ['c0.example'],
      contentId: content.id,
    }).then(() => others(until(seconds * 1_000)));
    const { rows } = await owner.query<{ n: number }>('select count(*)::int as n from queue where client_id = $1', [
      clientIds[0],
    ]);
    const left = rows[0]?.n ?? 0;
    await delivery.stop();
    const row = (share: number) => ({
      bench: 'flood',
      measured: `delay of the other clients, p${share * 100}, under a flood of ${FLOOD} (${left} of it left at the end)`,
      unit: 'ms',
      ours: percentile(flooded, share),
      peers: [{ name: 'the same without the flood', value: percentile(calm, share) }],
    });
    return [row(0.5), row(0.95)];
  } finally {
    await sink.child.stop();
    await owner.end();
    await home.close();
  }
};
