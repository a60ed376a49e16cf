import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { resolvePolicy } from '../../src/accounts/policy.ts';
import { packageRoot } from '../../src/config/root.ts';
import { AppError } from '../../src/core/errors.ts';
import type { Reason, Verdict } from '../../src/core/verdict.ts';
import { decide } from '../../src/pipeline/decide.ts';
import type { StageName, SymbolCode } from '../../src/pipeline/symbols.ts';
import { hit, voteOf } from '../../src/pipeline/votes.ts';
import {
  HELD_KINDS,
  type HeldKind,
  heldKind,
  keyActor,
  mayList,
  mayRelease,
  mayReply,
  QUARANTINE_ROLES,
  type QuarantineRole,
  requireRelease,
  roleOfScopes,
} from '../../src/quarantine/rights.ts';

/** Written out once more, so that a slip in the code's own table is seen. Columns: user, client_admin, technician, admin. */
const CELLS: Readonly<Record<HeldKind, string>> = {
  clean: 'yyyy',
  bulk: 'yyyy',
  spam: 'yyyy',
  spoof: '--yy',
  phish: '--yy',
  policy: '-yyy',
  executable: '---y',
  unscannable: '---y',
  malware: '---y',
};

const held = (kind: HeldKind): { verdict: Verdict; reasons: Reason[] } =>
  kind === 'executable'
    ? { verdict: 'policy', reasons: [{ code: 'attachment.executable', detail: 'a.exe' }] }
    : { verdict: kind, reasons: [{ code: 'attachment.macro', detail: 'a.docm' }] };

test('each cell of the table of rights', () => {
  for (const kind of HELD_KINDS) {
    for (const [index, role] of QUARANTINE_ROLES.entries()) {
      const may = CELLS[kind][index] === 'y';
      assert.equal(mayRelease(role, held(kind)), may, `${role} ${kind}`);
      if (may) requireRelease(role, held(kind));
      else {
        assert.throws(
          () => requireRelease(role, held(kind)),
          (error: unknown) => error instanceof AppError && error.code === 'forbidden' && / only$/.test(error.message),
        );
      }
    }
  }
});

test('docs/quarantine.md holds the same table', () => {
  const text = readFileSync(path.join(packageRoot(), 'docs/quarantine.md'), 'utf8');
  const table = text.slice(text.indexOf('<!-- rights -->'), text.indexOf('<!-- /rights -->'));
  const rows = table.split('\n').filter((line) => /^\| \w+ \| (yes|no)/.test(line));
  assert.deepEqual(
    rows,
    HELD_KINDS.map((kind) => {
      const cells = QUARANTINE_ROLES.map((role) => (mayRelease(role, held(kind)) ? 'yes' : 'no'));
      return `| ${kind} | ${cells.join(' | ')} |`;
    }),
  );
});

test('a program is one by its reason, under whatever decision of policy', () => {
  const of = (verdict: Verdict, code: string) => heldKind({ verdict, reasons: [{ code, detail: '' }] });
  assert.equal(of('policy', 'attachment.html_smuggling'), 'executable');
  assert.equal(of('policy', 'policy.strip_executable'), 'executable');
  assert.equal(of('policy', 'attachment.encrypted_archive'), 'policy');
  assert.equal(of('malware', 'attachment.executable'), 'malware');
});

test('a file that policy holds makes no fraud easier to let out', () => {
  const votes = (code: SymbolCode, stage: StageName) => [
    voteOf(stage, [hit(code, '', 9)]),
    voteOf('attachments', [hit('attachment.macro')]),
  ];
  const policy = resolvePolicy({});
  const strict = { ...policy, attachments: { ...policy.attachments, macro: 'quarantine' as const } };
  for (const [code, stage, kind] of [
    ['rules.scam_credentials', 'rules', 'phish'],
    ['auth.dmarc_reject', 'authentication', 'spoof'],
  ] as const) {
    const decision = decide(votes(code, stage), strict);
    assert.equal(decision.verdict, 'policy');
    assert.equal(heldKind(decision), kind);
    assert.ok(!mayRelease('client_admin', decision) && mayRelease('technician', decision));
  }
  assert.ok(mayRelease('client_admin', decide([voteOf('attachments', [hit('attachment.macro')])], strict)));
});

test('answers and lists have their tables too', () => {
  const can = (check: (role: QuarantineRole) => boolean) =>
    QUARANTINE_ROLES.map((role) => (check(role) ? 'y' : '-')).join('');
  for (const kind of HELD_KINDS) {
    const expected = kind === 'phish' || kind === 'malware' ? '--yy' : 'yyyy';
    assert.equal(
      can((role) => mayReply(role, held(kind))),
      expected,
      kind,
    );
  }
  assert.equal(
    can((role) => mayList(role, 'mailbox')),
    'yyyy',
  );
  assert.equal(
    can((role) => mayList(role, 'client')),
    '-yyy',
  );
  assert.equal(
    can((role) => mayList(role, 'partner')),
    '--yy',
  );
});

test('the scopes of a key make its role', () => {
  assert.equal(roleOfScopes(['admin']), 'admin');
  assert.equal(roleOfScopes(['read', 'quarantine']), 'technician');
  assert.equal(roleOfScopes(['read', 'write', 'billing']), null);
  assert.throws(() => keyActor({ actor: 'key:x', scopes: ['write'] }), /QUARANTINE/);
  assert.deepEqual(keyActor({ actor: 'key:x', scopes: ['quarantine'] }), {
    role: 'technician',
    name: 'key:x',
    mailboxIds: null,
    clientId: null,
  });
});
