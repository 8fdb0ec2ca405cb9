/** Who is here now: people by their open connections. One person with two browsers is here once. */
import type { PersonRef } from "../wire.ts";

/** An open page of somebody; at one that is idle nobody does anything. */
export type Connection = { client: string; user: string; name: string; idle?: boolean };

/** Somebody with at least one; idle where all of them are. */
export type Here = PersonRef & { idle: boolean };

export class Presence {
  private connections = new Map<string, Connection>();

  /** Replaces everything by what the server counts now. */
  reset(connections: readonly Connection[]): void {
    this.connections = new Map(connections.map((connection) => [connection.client, connection]));
  }

  joined(connection: Connection): void {
    this.connections.set(connection.client, connection);
  }

  /** Nobody does anything there, or somebody again. Returns whether it is known. */
  told(client: string, idle: boolean): boolean {
    const known = this.connections.get(client);
    if (known) this.connections.set(client, { ...known, idle });
    return known !== undefined;
  }

  left(client: string): void {
    this.connections.delete(client);
  }

  /** The people here, by name. */
  people(): Here[] {
    const people = new Map<string, Here>();
    for (const { user, name, idle = false } of this.connections.values()) {
      people.set(user, { id: user, name, idle: idle && (people.get(user)?.idle ?? true) });
    }
    return [...people.values()].sort(byName);
  }
}

export function byName(a: { name: string }, b: { name: string }): number {
  return a.name.localeCompare(b.name, undefined, { sensitivity: "base", numeric: true });
}
