/** The partner whose rows a transaction may see. Branded, so that a client's id can't be passed by mistake. */
export type PartnerId = string & { readonly __partner: true };

export function partnerId(id: string): PartnerId {
  return id as PartnerId;
}
