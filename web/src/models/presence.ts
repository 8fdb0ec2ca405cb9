/** Who is here now: people by their open connections. One person with two browsers is here once. */
import type { PersonRef } from "../wire.ts";

export type Connection = { client: string; user: string; name: string };

export class Presence {
  private connections = new Map<string, Connection>();

  /** Replaces everything by what the server counts now. */
  reset(connections: readonly Connection[]): void {
    this.connections = new Map(connections.map((connection) => [connection.client, connection]));
  }

  joined(connection: Connection): void {
    this.connections.set(connection.client, connection);
  }

  left(client: string): void {
    this.connections.delete(client);
  }

  /** The people here, by name. */
  people(): PersonRef[] {
    const people = new Map<string, PersonRef>();
    for (const { user, name } of this.connections.values()) people.set(user, { id: user, name });
    return [...people.values()].sort(byName);
  }
}

export function byName(a: { name: string }, b: { name: string }): number {
  return a.name.localeCompare(b.name, undefined, { sensitivity: "base", numeric: true });
}
