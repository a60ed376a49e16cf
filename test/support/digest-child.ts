import { once } from 'node:events';
import { ManualClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/log.ts';
import { LinkSigner } from '../../src/digest/links.ts';
import { sweepDigests } from '../../src/digest/sweep.ts';
import { OwnPost, Spool } from '../../src/gateway/index.ts';
import { openPools } from './db.ts';

/** A sweep of digests as a process of its own, to be killed: `digest-child.js OWNER_URL SPOOL_FOLDER NOW`. It waits for a line. */
const [ownerUrl = '', folder = '', now = ''] = process.argv.slice(2);
const db = openPools(ownerUrl, new ManualClock(now));
const spool = await Spool.open(folder);
// Connections are there before the sweep, so that the moment of the kill is within it.
await db.system(async () => true);
process.stdout.write('ready\n');
await once(process.stdin, 'data');
await sweepDigests({
  db,
  post: new OwnPost(spool, { hostName: 'mx.tollgate.example', nodeId: 'test' }),
  signer: new LinkSigner(Buffer.alloc(32, 7)),
  publicUrl: () => 'https://mail.northwind.example',
  hostName: 'mx.tollgate.example',
  logger: silentLogger,
});
process.stdout.write('swept\n');
process.exit(0);
