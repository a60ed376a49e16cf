import type { Context } from '../context.ts';

/** How one field of a type is answered. A field without one is the parent's property of the same name. */
export type Resolver = (parent: never, args: never, context: Context) => unknown;

/** Resolvers by type and field. */
export type Resolvers = Readonly<Record<string, Readonly<Record<string, Resolver>>>>;

/** How a field of Subscription begins to watch. Throws as a query would for what it may not see. */
export type Subscriber = (args: never, context: Context) => Promise<AsyncIterable<unknown>>;

export type Subscribers = Readonly<Record<string, Subscriber>>;
