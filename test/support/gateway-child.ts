import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/log.ts';
import { createDelivery, createGateway, Spool } from '../../src/gateway/index.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { byLocalPart, CONFIG } from '../gateway/support/rig.ts';
import { openPools } from './db.ts';

/** A gateway with delivery as a process of its own, to be killed: `gateway-child.js OWNER_URL SPOOL_FOLDER`. */
const [ownerUrl = '', folder = ''] = process.argv.slice(2);
const deps = {
  db: openPools(ownerUrl, systemClock),
  clock: systemClock,
  logger: silentLogger,
  spool: await Spool.open(folder),
};
const gateway = createGateway({ ...deps, pipeline: byLocalPart, config: CONFIG });
const where = await gateway.start();
const delivery = createDelivery({
  ...deps,
  resolver: zoneResolver({}),
  config: { nodeId: CONFIG.nodeId, hostName: CONFIG.hostName, allowPrivateHosts: ['127.0.0.1'] },
});
await delivery.start();
process.stdout.write(`${JSON.stringify(where)}\n`);
