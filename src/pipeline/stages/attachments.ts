import type { ParsedAttachment, ParsedMail } from '../../mail/types.ts';
import type { ActiveCode, Finding, Inspected, RecipientStage } from '../stage.ts';
import { type Hit, hit, voteOf } from '../votes.ts';

/** The classes by which a client chooses, found from what is inside; the worker runs this once per message. */
export function findingsOf(mail: ParsedMail): Finding[] {
  const findings: Finding[] = [];
  for (const { name, inspection } of mail.attachments) {
    const first = inspection.entries[0]?.path ?? '';
    const inner = first === '' ? '' : `holds ${first}`;
    if (inspection.executable) findings.push({ class: 'executable', name, detail: inner });
    if (inspection.macro) findings.push({ class: 'macro', name, detail: inner });
    if (inspection.encrypted) findings.push({ class: 'encrypted_archive', name, detail: inner });
    if (inspection.suspicious.length > 0) {
      findings.push({ class: 'suspicious_archive', name, detail: inspection.suspicious.slice(0, 5).join(', ') });
    }
    if (inspection.htmlSmuggling) findings.push({ class: 'html_smuggling', name, detail: '' });
  }
  if (mail.body.htmlSmuggling) findings.push({ class: 'html_smuggling', name: 'message text', detail: '' });
  return findings;
}

const ACTIVE: Readonly<Record<string, ActiveCode>> = {
  'pdf.javascript': 'attachment.pdf_javascript',
  'pdf.embedded_file': 'attachment.pdf_embedded_file',
  'pdf.launch': 'attachment.pdf_launch',
};

/** What documents do by themselves, each once with the first attachment that does it. */
export function activeOf(mail: ParsedMail): Inspected['active'] {
  const found = new Map<ActiveCode, string>();
  for (const { name, inspection } of mail.attachments) {
    for (const sign of inspection.active) {
      const code = ACTIVE[sign];
      if (code !== undefined && !found.has(code)) found.set(code, name);
    }
  }
  return [...found].map(([code, name]) => ({ code, name }));
}

/** Names of the attachments that hold the EICAR test file. */
export function eicarOf(mail: ParsedMail): string[] {
  const names = mail.attachments.filter((one) => one.inspection.eicar).map((one) => one.name);
  return mail.body.eicar ? ['message text', ...names] : names;
}

/** Names of attachments that show a document by their name and are programs. Nobody does that by accident. */
export function disguisedOf(mail: ParsedMail): string[] {
  return mail.attachments.filter(isDisguised).map((one) => one.name);
}

function isDisguised({ name, sniffedType }: ParsedAttachment): boolean {
  const last = /\.([a-z0-9]{1,5})$/i.exec(name)?.[1]?.toLowerCase() ?? '';
  return sniffedType !== null && PROGRAM_TYPES.has(sniffedType) && DOCUMENT_NAMES.has(last);
}

const PROGRAM_TYPES = new Set(['application/x-msdownload', 'application/x-elf', 'application/x-mach-binary']);
const DOCUMENT_NAMES = new Set([
  ...['pdf', 'doc', 'docx', 'xls', 'xlsx', 'ppt', 'pptx', 'txt', 'csv', 'rtf'],
  ...['jpg', 'jpeg', 'png', 'gif', 'mp3', 'mp4', 'html', 'htm'],
]);

/**
 * One symbol per class and message, and malware. What a client has allowed stays in the reasons, so that the trace shows it,
 * but neither counts nor decides.
 */
export const attachmentsStage: RecipientStage = ({ inspected, recipient }) => {
  const hits: Hit[] = inspected.eicar.slice(0, 1).map((name) => hit('malware.eicar', name));
  for (const name of inspected.disguised.slice(0, 1)) hits.push(hit('malware.disguised_executable', name));
  for (const { code, name } of inspected.active) hits.push(hit(code, name));
  const seen = new Set<string>();
  for (const finding of inspected.findings) {
    if (seen.has(finding.class)) continue;
    seen.add(finding.class);
    const allowed = recipient.policy.attachments[finding.class] === 'allow';
    const detail = [finding.name, finding.detail, allowed ? 'allowed by policy' : ''].filter((part) => part !== '');
    hits.push(
      allowed
        ? hit(`attachment.${finding.class}`, detail.join(', '), 0)
        : hit(`attachment.${finding.class}`, detail.join(', ')),
    );
  }
  return voteOf('attachments', hits);
};
