import { domainOf } from '../../src/core/address.ts';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/log.ts';
import type { Pipeline } from '../../src/core/message.ts';
import { createDelivery, createGateway, Spool } from '../../src/gateway/index.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { byLocalPart, CONFIG } from '../gateway/support/rig.ts';
import { openPools } from './db.ts';

/** A gateway with delivery as a process of its own, to be killed: `gateway-child.js OWNER_URL SPOOL_FOLDER [NODE]`. */
const [ownerUrl = '', folder = '', nodeId = CONFIG.nodeId] = process.argv.slice(2);
/** Decides by the local part, and quarantines what a block list names. */
const listsOnly: Pipeline = {
  ...byLocalPart,
  async run(input, signal) {
    const result = await byLocalPart.run(input, signal);
    const domain = domainOf(input.envelope.sender);
    const blocked = input.recipients.map(({ lists }) =>
      lists.some((one) => one.kind === 'block' && one.pattern === domain),
    );
    const decisions = result.decisions.map((one, index) =>
      blocked[index] === true ? { ...one, action: 'quarantine' as const, verdict: 'spam' as const } : one,
    );
    return { ...result, decisions };
  },
};
const deps = {
  db: openPools(ownerUrl, systemClock),
  clock: systemClock,
  logger: silentLogger,
  spool: await Spool.open(folder),
};
const gateway = createGateway({ ...deps, pipeline: listsOnly, config: { ...CONFIG, nodeId } });
const where = await gateway.start();
const delivery = createDelivery({
  ...deps,
  resolver: zoneResolver({}),
  config: { nodeId, hostName: CONFIG.hostName, allowPrivateHosts: ['127.0.0.1'] },
});
await delivery.start();
process.stdout.write(`${JSON.stringify(where)}\n`);
