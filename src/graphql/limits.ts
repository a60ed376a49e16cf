import {
  type ASTVisitor,
  type DocumentNode,
  type FragmentDefinitionNode,
  Kind,
  MaxIntrospectionDepthRule,
  type SelectionSetNode,
  type ValidationContext,
  type ValidationRule,
} from 'graphql';
import { documentError } from './errors.ts';

/** Limits on one document, whatever its variables. docs/api.md publishes them. */
export const LIMITS = {
  /** Characters of `query`. */
  documentLength: 20_000,
  tokens: 2_000,
  /** Levels of fields, those of fragments counted where they are spread; introspection has a rule of its own. */
  depth: 12,
  /** Fields after every fragment is written out: aliases, repetitions and fragments in fragments all count. */
  fields: 500,
  aliases: 30,
  directives: 20,
  rootFields: 20,
} as const;

/** Sees what one document asks for once its fragments are written out, without writing them out. */
interface Size {
  readonly depth: number;
  readonly fields: number;
}

function measure(document: DocumentNode): Size & { readonly rootFields: number } {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  }
  const sizes = new Map<string, Size>();
  const sizeOf = (set: SelectionSetNode, open: ReadonlySet<string>): Size => {
    let depth = 0;
    let fields = 0;
    for (const selection of set.selections) {
      let inner: Size = { depth: 0, fields: 0 };
      if (selection.kind === Kind.FIELD) {
        if (selection.name.value.startsWith('__schema') || selection.name.value === '__type') continue;
        if (selection.selectionSet !== undefined) inner = sizeOf(selection.selectionSet, open);
        inner = { depth: inner.depth + 1, fields: inner.fields + 1 };
      } else if (selection.kind === Kind.INLINE_FRAGMENT) {
        inner = sizeOf(selection.selectionSet, open);
      } else {
        inner = spread(selection.name.value, open);
      }
      depth = Math.max(depth, inner.depth);
      fields += inner.fields;
    }
    return { depth, fields };
  };
  // A cycle is another rule's fault to report; here it must only end. Each fragment is measured once.
  const spread = (name: string, open: ReadonlySet<string>): Size => {
    const known = sizes.get(name);
    const fragment = fragments.get(name);
    if (known !== undefined) return known;
    if (fragment === undefined || open.has(name)) return { depth: 0, fields: 0 };
    const size = sizeOf(fragment.selectionSet, new Set([...open, name]));
    sizes.set(name, size);
    return size;
  };
  let result = { depth: 0, fields: 0, rootFields: 0 };
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue;
    const size = sizeOf(definition.selectionSet, new Set());
    const rootFields = definition.selectionSet.selections.filter((one) => one.kind === Kind.FIELD).length;
    result = { depth: Math.max(result.depth, size.depth), fields: result.fields + size.fields, rootFields };
  }
  return result;
}

function exceeded(context: ValidationContext, what: string, seen: number, limit: number): void {
  if (seen > limit)
    context.reportError(documentError('LIMIT_EXCEEDED', `the document has ${what}: ${seen}, at most ${limit}`));
}

function sizeRule(context: ValidationContext): ASTVisitor {
  return {
    Document(document) {
      const size = measure(document);
      exceeded(context, 'too many levels', size.depth, LIMITS.depth);
      exceeded(context, 'too many fields, fragments written out', size.fields, LIMITS.fields);
      exceeded(context, 'too many root fields', size.rootFields, LIMITS.rootFields);
    },
  };
}

function countRule(context: ValidationContext): ASTVisitor {
  let aliases = 0;
  let directives = 0;
  return {
    Field(field) {
      if (field.alias !== undefined) aliases += 1;
    },
    Directive() {
      directives += 1;
    },
    Document: {
      leave() {
        exceeded(context, 'too many aliases', aliases, LIMITS.aliases);
        exceeded(context, 'too many directives', directives, LIMITS.directives);
      },
    },
  };
}

/**
 * One operation per document: mercurius keys its compiled queries by text alone, so with two operations in a text the one
 * that was compiled first would answer for the other, a mutation for a GET included.
 */
function oneOperationRule(context: ValidationContext): ASTVisitor {
  return {
    Document(document) {
      const count = document.definitions.filter((one) => one.kind === Kind.OPERATION_DEFINITION).length;
      if (count > 1) {
        context.reportError(documentError('BAD_REQUEST', `a document holds one operation here, this one ${count}`));
      }
    },
  };
}

export const VALIDATION_RULES: readonly ValidationRule[] = [
  oneOperationRule,
  sizeRule,
  countRule,
  MaxIntrospectionDepthRule,
];

/**
 * Whether a text may be GraphQL at all. mercurius reads a text that does not parse as a JSON syntax tree, which would pass
 * the token limit by: no GraphQL document begins like JSON, but for `{`, which JSON follows with a quote or its end.
 */
export function looksLikeJson(source: string): boolean {
  return /^[\s\ufeff]*(?:\{\s*["}]|[["\d-]|null\b|true\b|false\b)/.test(source);
}
