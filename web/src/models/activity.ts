/** What concerns this person, in one list for all rooms: read when it is looked at, and again when something of it happens. */
import { signal } from "@preact/signals";
import type { Api } from "../api.ts";
import { ACTIVITY_REFRESH_MS } from "../limits.ts";
import type { Activity, ActivityKind } from "../wire.ts";
import { describe } from "./problems.ts";

export type ActivityContext = {
  api: Pick<Api, "activity">;
  after: (delay: number, task: () => void) => () => void;
};

export class Activities {
  /** Whether it is looked at. */
  readonly open = signal(false);
  /** Of one kind; of all without one. */
  readonly kind = signal<ActivityKind | null>(null);
  /** The newest first; null before the first page has come. */
  readonly list = signal<readonly Activity[] | null>(null);
  /** Whether there is more than is here. */
  readonly more = signal(false);
  readonly problem = signal<string | null>(null);
  readonly loading = signal(false);
  private next: string | undefined;
  private asking: AbortController | null = null;
  private cancelRefresh: (() => void) | null = null;

  constructor(private readonly context: ActivityContext) {}

  show(): void {
    if (this.open.peek()) return;
    this.open.value = true;
    void this.read();
  }

  leave(): void {
    this.open.value = false;
    this.cancelRefresh?.();
    this.cancelRefresh = null;
  }

  filter(kind: ActivityKind | null): void {
    if (kind === this.kind.peek()) return;
    this.kind.value = kind;
    this.list.value = null;
    void this.read();
  }

  /** Something happened that may belong here. */
  happened(): void {
    if (!this.open.peek()) return;
    this.cancelRefresh ??= this.context.after(ACTIVITY_REFRESH_MS, () => {
      this.cancelRefresh = null;
      void this.read();
    });
  }

  /** Reads the newest. What was read beyond it stays, unless there is something between. */
  async read(): Promise<void> {
    const page = await this.ask();
    if (!page) return;
    const { activity, next } = page;
    const last = activity.at(-1);
    const known = this.list.peek() ?? [];
    const at = last ? known.findIndex((one) => keyOf(one) === keyOf(last)) : -1;
    const joins = next !== undefined && at >= 0;
    this.list.value = joins ? [...activity, ...known.slice(at + 1)] : activity;
    if (joins && at + 1 < known.length) return;
    this.next = next;
    this.more.value = next !== undefined;
  }

  async readMore(): Promise<void> {
    if (this.next === undefined || this.loading.peek()) return;
    const page = await this.ask(this.next);
    if (!page) return;
    this.list.value = [...(this.list.peek() ?? []), ...page.activity];
    this.next = page.next;
    this.more.value = page.next !== undefined;
  }

  private async ask(before?: string): Promise<{ activity: Activity[]; next?: string } | null> {
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    this.loading.value = true;
    try {
      const page = await this.context.api.activity(this.kind.peek(), before, asking.signal);
      if (asking.signal.aborted) return null;
      this.problem.value = null;
      return page;
    } catch (error) {
      if (!asking.signal.aborted) this.problem.value = describe(error);
      return null;
    } finally {
      if (this.asking === asking) this.loading.value = false;
    }
  }
}

/** One event concerns somebody once in each way. */
export function keyOf({ room, event, kind }: Activity): string {
  return `${room}-${event}-${kind}`;
}
