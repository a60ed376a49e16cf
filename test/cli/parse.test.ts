import assert from 'node:assert/strict';
import { test } from 'node:test';
import { meaningOf } from '../../src/cli/options.ts';
import { ArgumentError, parseArguments } from '../../src/cli/parse.ts';
import { needsOf } from '../../src/cli/usage.ts';
import { COMMANDS, main } from '../../src/cli.ts';

const ID = '019a0000-0000-7000-8000-000000000000';
const command = (name: string) => COMMANDS.find((one) => one.name === name) ?? assert.fail(name);

function faultsOf(name: string, ...args: string[]): [kind: string, ...faults: string[]] {
  try {
    parseArguments(command(name), args);
  } catch (error) {
    assert.ok(error instanceof ArgumentError, String(error));
    return [error.kind, ...error.faults.map((fault) => fault.message)];
  }
  return ['none'];
}

test('everything that is wrong with the arguments is said at once', () => {
  assert.deepEqual(
    faultsOf(
      'client create',
      '--partnr',
      'x',
      '--zone',
      'Mars/Base',
      '--domain',
      'a',
      '--domain',
      'b.example',
      '--relay',
    ),
    [
      'usage',
      'client create has no option --partnr; did you mean --partner?',
      '--relay needs a value: mail server, HOST:PORT; may be given more than once',
      '--partner is missing: id of the partner (partner list)',
      '--name is missing: its name',
      '--zone: "Mars/Base" is not an IANA time zone such as Europe/London',
      '--domain: "a" is not a domain',
    ],
  );
  assert.deepEqual(
    faultsOf(
      'client create',
      '--partner',
      ID,
      '--name',
      'A',
      '--zone',
      'Europe/London',
      '--domain',
      'a.example',
      '--relay',
      ':',
    ),
    ['value', '--relay: ":" is not HOST:PORT'],
  );
  assert.deepEqual(faultsOf('mailbox import', '--client', 'x', '/nowhere/a.csv', 'more'), [
    'usage',
    '"more" is too much: nothing takes it',
    '--client is not an id',
    "the file /nowhere/a.csv can't be read",
    "the file more can't be read",
  ]);
  assert.deepEqual(faultsOf('quarantine release', '--scope', 'all'), [
    'usage',
    '--client or --partner is missing',
    '--delivery is missing: id of the delivery (held list, quarantine list, original list); may be given more than once',
    '--scope needs --allow',
    '--scope is mailbox, client, partner',
  ]);
  assert.deepEqual(faultsOf('list add', '--scope', 'mailbox', '--kind', 'grey', 'x.example'), [
    'usage',
    '--client is missing: id of the client (client list)',
    '--mailbox is missing: address of a mailbox of the client (mailbox list)',
    '--kind is allow, block',
  ]);
  assert.deepEqual(faultsOf('billing apply', '--plan', ID), ['usage', '--plan needs --partner']);
  assert.deepEqual(faultsOf('doctor', '--json=yes', 'now'), [
    'usage',
    '--json takes no value',
    '"now" is too much: nothing takes it',
  ]);
  assert.deepEqual(faultsOf('partner create', '--name', 'a', '--name', 'b'), ['usage', '--name is given twice']);
  assert.deepEqual(faultsOf('partner create', '--name', '--json'), ['usage', '--name needs a value: its name']);
});

test('what is right is read: values behind a space or =, several, dashes, plain ones behind --', () => {
  const read = (name: string, ...args: string[]) => parseArguments(command(name), args);
  assert.deepEqual(read('partner create', '--name=--x y=z', '--json').values, { name: '--x y=z', json: true });
  assert.deepEqual(read('outbound policy', '--client', ID, '--spam-score', '-1').values, {
    client: ID,
    'spam-score': '-1',
  });
  assert.deepEqual(read('list add', '--scope', 'master', '--kind', 'block', '--', '-odd.example').positionals, [
    '-odd.example',
  ]);
  assert.deepEqual(read('held release', '--client', ID, '--delivery', ID, '--delivery', ID).values['delivery'], [
    ID,
    ID,
  ]);
  assert.deepEqual(read('list remove', '--scope', 'mailbox', '--client', ID, '--entry', ID).values['scope'], 'mailbox');
  assert.deepEqual(read('digest send', '--mailbox', ID).values, { mailbox: ID });
});

test('the usage says what is needed', () => {
  assert.deepEqual(needsOf('--client ID | --partner ID --delivery ID ... [--allow [--scope a|b]]'), {
    groups: [['client', 'partner'], ['delivery']],
    within: new Map([['scope', 'allow']]),
  });
  assert.deepEqual(needsOf('--client ID [--domain D] --relay HOST[,x=N] ... | --mx | --mx-of D | --none').groups, [
    ['client'],
    ['relay', 'mx', 'mx-of', 'none'],
  ]);
  assert.deepEqual(needsOf('[--partner ID|--client ID] --entry ID').groups, [['entry']]);
});

test('every option has a help text and is in the usage, and the usage names no other', () => {
  for (const one of COMMANDS) {
    const named = new Set([...one.usage.matchAll(/--([a-z0-9-]+)/g)].map(([, name]) => name));
    assert.deepEqual(new Set(Object.keys(one.options)), named, one.name);
    for (const name of [...Object.keys(one.options), 'json', 'help'])
      assert.ok(meaningOf(one, name).length > 3, `${one.name} --${name} has no help`);
  }
});

test('wrong arguments open nothing, end with 64, and are a list in JSON', async () => {
  const texts: string[] = [];
  const write = process.stderr.write;
  process.stderr.write = ((text: string) => texts.push(text) > 0) as typeof process.stderr.write;
  try {
    const env = { TOLLGATE_HOME: '/proc/nope' };
    assert.equal(await main(['client', 'create', '--foo', '--json'], env), 64);
    assert.equal(await main(['demo', '--messages', 'many'], env), 1);
    assert.equal(await main(['serve', '--role', 'api'], env), 64);
  } finally {
    process.stderr.write = write;
  }
  const { error } = JSON.parse(texts[0] ?? '') as {
    error: { code: string; faults: { option: string; message: string }[] };
  };
  assert.equal(error.code, 'usage');
  assert.deepEqual(
    error.faults.map((fault) => fault.option),
    ['foo', 'partner', 'name', 'zone', 'domain', 'relay'],
  );
  assert.match(texts[1] ?? '', /--messages is a whole number/);
  assert.match(texts[2] ?? '', /serve has no option --role; did you mean --roles\?/);
});
