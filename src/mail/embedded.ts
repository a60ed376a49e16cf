import type { Budget, Visitor } from './budget.ts';
import { leavesOf } from './leaves.ts';
import { type Part, walkStructure } from './mime.ts';

/** Ways to hide a file from one reader and show it to another; said of an attached message, they make it suspicious. */
const HIDING: ReadonlySet<string> = new Set([
  'duplicate_content_type',
  'duplicate_boundary',
  'duplicate_encoding',
  'multipart_without_boundary',
  'bare_cr_header',
  'part_after_close',
  'too_many_parts',
  'mime_depth',
]);

/** Shows the files and texts of an attached message; messages inside of it are files again. */
export async function walkMessage(content: Buffer, budget: Budget, visitor: Visitor): Promise<void> {
  const structure = walkStructure(content);
  for (const anomaly of structure.anomalies) if (HIDING.has(anomaly)) visitor.flag(`message.${anomaly}`);
  await showParts(content, structure.parts, budget, visitor);
}

const UNDER_NO_NAME = Buffer.from('Content-Type: multipart/mixed\r\n\r\n');

/**
 * The same for the body of a multipart that was itself encoded, against RFC 2045 section 6.4: some readers decode it. Its
 * boundary is the first delimiter.
 */
export async function walkEncodedMultipart(content: Buffer, budget: Budget, visitor: Visitor): Promise<void> {
  const message = Buffer.concat([UNDER_NO_NAME, content]);
  const parts = walkStructure(message).parts.filter((part) => part.depth > 0);
  await showParts(message, parts, budget, visitor);
}

async function showParts(content: Buffer, parts: readonly Part[], budget: Budget, visitor: Visitor): Promise<void> {
  for (const [index, part] of parts.entries()) {
    for (const leaf of leavesOf(content, part, index)) {
      if (!budget.takeEntry() || !budget.takeRead(leaf.content.length)) return visitor.flag('archive.entries');
      if (leaf.inline !== null) visitor.flag(`message.${leaf.inline}`);
      await visitor.member({
        names: leaf.names,
        content: leaf.content,
        contentType: leaf.contentType,
        bytes: leaf.content.length,
        encrypted: false,
      });
    }
  }
}
