/** Keeps unsent messages in IndexedDB, or in memory where the browser refuses that. */
import type { Unsent, UnsentStore } from "./models/outbox.ts";

const NAME = "tidings";
const STORE = "unsent";

/** A store over IndexedDB. A failure of the disk is no reason to lose what is on the screen, so writes never throw. */
export class IndexedDbStore implements UnsentStore {
  private readonly database: Promise<IDBDatabase | null>;

  constructor(factory: IDBFactory | undefined = globalThis.indexedDB) {
    this.database = open(factory).catch(() => null);
  }

  async load(person: string): Promise<Unsent[]> {
    const found = await this.run<Unsent[]>("readonly", (store) => store.index("person").getAll(person) as IDBRequest<Unsent[]>);
    return found ?? [];
  }

  async put(unsent: Unsent): Promise<void> {
    await this.run("readwrite", (store) => store.put(unsent));
  }

  async update(unsent: Unsent): Promise<void> {
    await this.within("readwrite", (store, commit) => {
      const found = store.getKey(unsent.client_id);
      found.onsuccess = () => {
        if (found.result !== undefined) store.put(unsent);
        commit();
      };
      return found;
    });
  }

  async delete(clientId: string): Promise<void> {
    await this.run("readwrite", (store) => store.delete(clientId));
  }

  async clear(person: string): Promise<void> {
    for (const unsent of await this.load(person)) await this.delete(unsent.client_id);
  }

  // Committed at once: by itself it is committed after the page has heard of the request, and a page that is closed
  // before that would take the text along.
  private run<T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest<T>): Promise<T | null> {
    return this.within(mode, (store, commit) => {
      const request = act(store);
      commit();
      return request;
    });
  }

  private async within<T>(
    mode: IDBTransactionMode,
    act: (store: IDBObjectStore, commit: () => void) => IDBRequest<T>,
  ): Promise<T | null> {
    const database = await this.database;
    if (!database) return null;
    return new Promise((resolve) => {
      try {
        // A crash of the machine right after a send must not lose the text: ask for the disk, not its cache.
        const transaction = database.transaction(STORE, mode, { durability: "strict" });
        const request = act(transaction.objectStore(STORE), () => transaction.commit());
        transaction.oncomplete = () => resolve(request.result);
        transaction.onerror = () => resolve(null);
        transaction.onabort = () => resolve(null);
      } catch {
        resolve(null);
      }
    });
  }
}

function open(factory: IDBFactory | undefined): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    if (!factory) {
      reject(new Error("no IndexedDB"));
      return;
    }
    const request = factory.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(STORE, { keyPath: "client_id" }).createIndex("person", "person");
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB did not open"));
    request.onblocked = () => reject(new Error("IndexedDB is blocked"));
  });
}
