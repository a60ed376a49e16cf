import {
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLField,
  type GraphQLInterfaceType,
  type GraphQLObjectType,
  type GraphQLSchema,
  getArgumentValues,
  getNamedType,
  isInterfaceType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import { PAGE_MAX } from './connection.ts';

/** The most points that one query may cost. */
export const COST_MAX = 1_000;

type Composite = GraphQLObjectType | GraphQLInterfaceType;

/** Points of each field that names its own with `@cost`, under `Type.field`. */
export type OwnCosts = ReadonlyMap<string, number>;

/**
 * What a query costs, in points, with the variables it came with. A field that returns a connection or an object with a
 * global id costs 1, or what its `@cost` says; a field with `first` multiplies all that is below it. Variables count,
 * so this can't be a validation rule: those run once per text.
 */
export function queryCost(
  schema: GraphQLSchema,
  costs: OwnCosts,
  document: DocumentNode,
  variables: Readonly<Record<string, unknown>>,
): number {
  const fragments = new Map<string, FragmentDefinitionNode>();
  let operation: OperationDefinitionNode | undefined;
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
    if (definition.kind === Kind.OPERATION_DEFINITION) operation = definition;
  }
  const root = operation === undefined ? undefined : schema.getRootType(operation.operation);
  if (operation === undefined || root === undefined || root === null) return 0;

  const known = new Map<string, number>();
  const costOfSet = (set: SelectionSetNode, type: Composite): number => {
    let sum = 0;
    for (const selection of set.selections) {
      if (selection.kind === Kind.FIELD) {
        const field = type.getFields()[selection.name.value];
        if (field === undefined) continue;
        const result = getNamedType(field.type);
        const inner =
          selection.selectionSet !== undefined && (isObjectType(result) || isInterfaceType(result))
            ? costOfSet(selection.selectionSet, result)
            : 0;
        sum += ownCost(type, field, costs) + inner * factor(field, selection, variables);
      } else if (selection.kind === Kind.INLINE_FRAGMENT) {
        sum += costOfSet(selection.selectionSet, narrowed(selection.typeCondition?.name.value, type));
      } else {
        sum += spread(selection.name.value, type);
      }
    }
    return sum;
  };
  const narrowed = (name: string | undefined, type: Composite): Composite => {
    const wanted = name === undefined ? type : schema.getType(name);
    return isObjectType(wanted) || isInterfaceType(wanted) ? wanted : type;
  };
  const spread = (name: string, type: Composite): number => {
    const fragment = fragments.get(name);
    if (fragment === undefined) return 0;
    const before = known.get(name);
    if (before !== undefined) return before;
    const cost = costOfSet(fragment.selectionSet, narrowed(fragment.typeCondition.name.value, type));
    known.set(name, cost);
    return cost;
  };
  return costOfSet(operation.selectionSet, root);
}

function ownCost(type: Composite, field: GraphQLField<unknown, unknown>, costs: OwnCosts): number {
  const own = costs.get(`${type.name}.${field.name}`);
  if (own !== undefined) return own;
  const result = getNamedType(field.type);
  if (isInterfaceType(result)) return 1;
  if (!isObjectType(result)) return 0;
  return result.name.endsWith('Connection') || result.getInterfaces().length > 0 ? 1 : 0;
}

/** How many objects a field may bring: its `first`, or the number of ids it is asked for. */
function factor(
  field: GraphQLField<unknown, unknown>,
  node: Parameters<typeof getArgumentValues>[1],
  variables: Readonly<Record<string, unknown>>,
): number {
  if (!field.args.some((arg) => arg.name === 'first' || arg.name === 'ids')) return 1;
  let values: Record<string, unknown>;
  try {
    values = getArgumentValues(field, node, variables);
  } catch {
    // Execution will refuse the argument; until then it counts as the worst.
    return PAGE_MAX;
  }
  if (Array.isArray(values['ids'])) return Math.max(1, values['ids'].length);
  const first = values['first'];
  return typeof first === 'number' && Number.isFinite(first) ? Math.max(1, first) : PAGE_MAX;
}
