import { recordAudit } from '../accounts/audit.ts';
import { prepareFolder } from '../config/home.ts';
import { AppError, errorCode } from '../core/errors.ts';
import { Spool } from '../gateway/index.ts';
import type { MailPreview } from '../mail/preview.ts';
import { reachDelivery } from '../quarantine/held.ts';
import { createPreviewer } from '../quarantine/preview.ts';
import type { Command, CommandContext } from './command.ts';
import { actorFor } from './quarantine.ts';
import { meant } from './show.ts';
import { storyForPeople } from './story.ts';
import { storyOf } from './trace.ts';
import { requiredId } from './values.ts';

const text = { type: 'string' } as const;
/** Lines of the body, and characters of a header, that people are shown; the JSON has more. */
const LINES = 100;
const FIELD = 300;

const quarantineShow: Command = {
  name: 'quarantine show',
  usage: '--client ID | --partner ID --delivery ID [--body]',
  summary: 'one delivery, held or not: why it is held, its header, its files and what was found in them',
  notes:
    'Nothing is let out, fetched or run by it. The look is written to the audit. --body shows the text of the message too.',
  options: { client: text, partner: text, delivery: text, body: { type: 'boolean' } },
  async run(context, values) {
    const { partner, clientId } = await meant(context, values);
    const id = requiredId(values, 'delivery');
    const { db } = context.store;
    const { story, contentId } = await db.tenant(
      partner,
      async (tx) => {
        const reached = await reachDelivery(tx, actorFor(clientId), id);
        return { story: await storyOf(tx, clientId, id), contentId: reached.contentId };
      },
      { readOnly: true },
    );
    const content = await lookAt(context, contentId);
    if (content !== null) {
      const details = { recipient: story.recipient };
      await db.tenant(partner, (tx) =>
        recordAudit(tx, { partnerId: partner, actor: 'cli', action: 'message.view', subject: id, details }),
      );
    }
    const isBodyWanted = values['body'] === true;
    const { events: _, attempts: __, files: ___, ...shown } = storyForPeople(story);
    return {
      output: { ...story, content: content === null ? null : contentOf(content, isBodyWanted) },
      forPeople: { ...shown, ...(content === null ? { content: GONE } : contentForPeople(content, isBodyWanted)) },
    };
  },
};

const GONE = 'the message itself is no longer stored';

/** The message made safe to look at, by the reader that the API has; null: its body is gone. */
async function lookAt({ config, logger }: CommandContext, contentId: string): Promise<MailPreview | null> {
  await prepareFolder('the folder of message bodies (BLOB_URL)', config.contentDir);
  const previewer = createPreviewer({ store: await Spool.open(config.contentDir), logger });
  try {
    return await previewer.preview(contentId);
  } catch (error) {
    if (error instanceof AppError && errorCode(error) === 'not_found') return null;
    throw error;
  } finally {
    await previewer.close();
  }
}

function contentOf(content: MailPreview, isBodyWanted: boolean) {
  const { headers, attachments, kind, remoteImages, truncated, problem } = content;
  const plain = headers.map(({ name, value }) => ({ name, value }));
  return {
    headers: plain,
    attachments,
    kind,
    remoteImages,
    truncated,
    problem,
    ...(isBodyWanted ? { text: content.text } : {}),
  };
}

function contentForPeople(
  { headers, attachments, text: body, truncated, problem }: MailPreview,
  isBodyWanted: boolean,
) {
  const lines = body.split('\n');
  return {
    ...(problem === null ? {} : { problem }),
    header: headers.map(({ name, value }) => `${name}: ${[...value].slice(0, FIELD).join('')}`),
    attachments: attachments.map(({ name, type, bytes, findings }) => ({
      ...{ name, type, bytes, found: findings.length === 0 ? 'nothing' : findings.join('; ') },
    })),
    ...(isBodyWanted
      ? { body: lines.slice(0, LINES), ...(truncated || lines.length > LINES ? { more: 'the text goes on' } : {}) }
      : {}),
  };
}

export const lookCommands: readonly Command[] = [quarantineShow];
