import { printable } from '../core/address.ts';
import type { Envelope, MessageFacts } from '../core/message.ts';
import type { ParsedMail } from '../mail/types.ts';
import { linkHost } from './domains.ts';
import { bounded, featuresOnce } from './learned.ts';
import type { ContentModel } from './model.ts';
import { linksOf } from './rules/links.ts';
import type { Inspected, MessageStage } from './stage.ts';
import { activeOf, disguisedOf, eicarOf, findingsOf } from './stages/attachments.ts';
import { marginOf } from './stages/content.ts';
import { traitsOf } from './traits.ts';

const ATTACHMENTS_MAX = 100;
const REPLIED_MAX = 5;
const HOSTS_MAX = 200;

/** What the worker thread makes of a parsed message: the votes of the message stages and what the other stages need. */
export function inspect(
  mail: ParsedMail,
  envelope: Envelope,
  stages: readonly MessageStage[],
  model: ContentModel,
): Inspected {
  const features = featuresOnce(mail);
  return {
    facts: factsOf(mail),
    from: mail.from.slice(0, 10),
    to: [...mail.to, ...mail.cc].slice(0, 1000).map((one) => one.address),
    subject: printable(mail.subject, 500),
    isList: mail.headers.some(({ name }) => name === 'list-id' || name === 'list-post'),
    findings: findingsOf(mail).slice(0, ATTACHMENTS_MAX),
    active: activeOf(mail),
    eicar: eicarOf(mail).slice(0, ATTACHMENTS_MAX),
    disguised: disguisedOf(mail).slice(0, ATTACHMENTS_MAX),
    votes: stages.map((stage) => stage({ mail, envelope })),
    learnable: { features: bounded(features), margin: marginOf(model, features) },
    inReplyTo: repliedOf(mail),
    linkHosts: hostsOf(mail),
    traits: traitsOf(mail),
  };
}

/** Message-IDs are compared as they are written, so that only the form is looked at. */
function repliedOf(mail: ParsedMail): string[] {
  const value = mail.headers.find(({ name }) => name === 'in-reply-to')?.value ?? '';
  return [...new Set(value.slice(0, 2_000).match(/<[^<>\s]{1,250}>/g) ?? [])].slice(0, REPLIED_MAX);
}

function hostsOf(mail: ParsedMail): string[] {
  const hosts = new Set<string>();
  for (const { href } of linksOf(mail)) {
    const host = linkHost(href);
    if (host !== null && host.length <= 253) hosts.add(host);
    if (hosts.size >= HOSTS_MAX) break;
  }
  return [...hosts];
}

function factsOf(mail: ParsedMail): MessageFacts {
  return {
    messageId: printable(mail.messageId, 250),
    fromAddress: printable(mail.from[0]?.address ?? '', 320),
    fromName: printable(mail.from[0]?.name ?? '', 200),
    subject: printable(mail.subject, 500),
    attachments: mail.attachments.slice(0, ATTACHMENTS_MAX).map(({ name, contentType, sniffedType, bytes }) => ({
      name: printable(name, 200),
      type: printable(sniffedType ?? contentType, 100),
      bytes,
    })),
  };
}

/** Of a message that could not be read nothing is known. */
export const NO_FACTS: MessageFacts = Object.freeze({
  messageId: '',
  fromAddress: '',
  fromName: '',
  subject: '',
  attachments: [],
});
