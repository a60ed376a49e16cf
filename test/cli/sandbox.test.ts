import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { connectPsa } from '../../integrations/index.ts';
import { parseArguments } from '../../src/cli/parse.ts';
import { runSandbox, SANDBOX } from '../../src/cli/sandbox.ts';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/log.ts';
import { PSA_KINDS } from '../../src/core/psa.ts';
import { gate } from '../support/gate.ts';

for (const kind of PSA_KINDS) {
  test(`tollgate sandbox: a ${kind} with a company and a line, its files, and a line for each change`, async (t) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-sandbox-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const { values } = parseArguments(SANDBOX, [
      '--kind',
      kind,
      '--out',
      folder,
      '--quantity',
      '4',
      '--company',
      'Acme',
    ]);
    const lines: string[] = [];
    const write = process.stdout.write;
    t.after(() => {
      process.stdout.write = write;
    });
    const told = gate();
    process.stdout.write = ((text: string) => {
      lines.push(text);
      told.open();
      return true;
    }) as typeof process.stdout.write;
    const end = gate();
    const running = runSandbox(values, end.passed);
    await told.passed;
    const ready = JSON.parse(lines[0] ?? '') as Record<string, string>;
    const json = async (file: string | undefined) => JSON.parse(await readFile(file ?? '', 'utf8'));
    const psa = connectPsa(
      {
        ...{ id: 'c', partnerId: 'p', kind, url: ready['url'] ?? '' },
        credentials: await json(ready['credentials']),
        settings: await json(ready['settings']),
      },
      { clock: systemClock, logger: silentLogger, allowPrivateHosts: ['127.0.0.1'] },
    );
    assert.equal((await psa.getCompany(ready['company'] ?? ''))?.name, 'Acme');
    const ref = { contractId: ready['contract'] ?? '', lineId: ready['line'] ?? '' };
    const line = await psa.readSubscription(ref, new Date().toISOString().slice(0, 10));
    assert.equal(line?.quantity, 4);
    assert.equal(lines.length, 1, 'reading is not told');
    const effectiveDate = line?.earliestEffectiveDate ?? '';
    await psa.writeQuantity(ref, { before: 4, target: 6, effectiveDate, sendBy: new Date(Date.now() + 20_000) });
    assert.equal(lines.length, 2);
    end.open();
    assert.equal(await running, 0);
  });
}
