import { AppError } from '../../core/errors.ts';
import { connect, cursorPart, type PageArgs } from '../connection.ts';
import type { Context } from '../context.ts';
import {
  listDocuments,
  type PersistedDocument,
  parseDocumentId,
  registerDocument,
  removeDocument,
} from '../documents.ts';
import { payload } from '../payload.ts';
import type { Resolvers } from './types.ts';

type Input<T> = { readonly input: T };

const nameOf = (sha256: string) => `sha256:${sha256}`;

export const documentResolvers: Resolvers = {
  Query: {
    persistedDocuments: (_: unknown, args: PageArgs, context: Context) =>
      connect(
        args,
        1,
        (row: PersistedDocument) => [row.sha256],
        async ({ first, after }) => {
          const sha256 = after === null ? null : parseDocumentId(cursorPart(after, 0, 'text'));
          if (after !== null && sha256 === null) {
            throw new AppError('invalid_input', 'after is not a cursor of this connection', { field: 'after' });
          }
          return context.read((tx) => listDocuments(tx, { first, after: sha256 }));
        },
      ),
  },
  PersistedDocument: { documentId: (row: PersistedDocument) => nameOf(row.sha256) },
  Mutation: {
    registerDocument: (_: unknown, { input }: Input<{ document: string }>, context: Context) =>
      payload<{ document: PersistedDocument | null }>({ document: null }, () => {
        const fault = context.faultOf(input.document);
        if (fault !== null) throw new AppError('invalid_input', fault, { field: 'document' });
        return context.write(async (tx) => ({
          document: await registerDocument(tx, input.document, context.caller.actor),
        }));
      }),
    removeDocument: (_: unknown, { input }: Input<{ documentId: string }>, context: Context) =>
      payload<{ removedDocumentId: string | null }>({ removedDocumentId: null }, () => {
        const sha256 = parseDocumentId(input.documentId);
        return context.write(async (tx) => {
          if (sha256 === null || !(await removeDocument(tx, sha256, context.caller.actor))) {
            throw new AppError('not_found', 'no such document', { field: 'documentId' });
          }
          return { removedDocumentId: nameOf(sha256) };
        });
      }),
  },
};
