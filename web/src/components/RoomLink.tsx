import type { ComponentChildren } from "preact";
import type { App } from "../models/app.ts";
import { PageLink } from "./PageLink.tsx";

type Props = { app: App; room: string; class?: string; current?: boolean; label?: string; onOpened?: () => void; children: ComponentChildren };

/** A link to a room. */
export function RoomLink({ room, ...props }: Props) {
  return <PageLink {...props} path={`/rooms/${room}`} />;
}
