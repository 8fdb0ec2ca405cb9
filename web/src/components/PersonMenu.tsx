import { Crown, EllipsisVertical, MessageCircle, ShieldUser, UserMinus } from "lucide";
import type { App } from "../models/app.ts";
import type { Chat } from "../models/chat.ts";
import { isAdmin, isDirect, rolesToGive } from "../models/kinds.ts";
import type { Layout } from "../models/layout.ts";
import type { Room } from "../models/room.ts";
import { strings } from "../strings.ts";
import type { Member } from "../wire.ts";
import { Icon } from "./Icon.tsx";
import { Menu, type MenuItem } from "./Menu.tsx";

type Props = { app: App; chat: Chat; room: Room; layout: Layout; member: Member };

/** What this person can do with somebody in the room: write to them, and what their roles allow. */
export function PersonMenu({ app, chat, room, layout, member }: Props) {
  const isMe = member.id === chat.me.id;
  const failed = (error: unknown): void => chat.fail(error);
  const changed = (): void => {
    room.membership.value += 1;
  };

  const write = async (): Promise<void> => {
    const info = await chat.startDirect([member.id]);
    if (!layout.wide.peek()) layout.people.value = false;
    app.navigate(`/rooms/${info.id}`);
  };

  const items: MenuItem[] = [];
  if (!(isDirect(room.info.value) && room.info.value.people?.length === 1 && !isMe)) {
    items.push({ label: strings.people.message, icon: <Icon of={MessageCircle} />, onSelect: () => void write().catch(failed) });
  }
  if (room.manages.value) {
    const owns = member.role === "owner";
    if (owns || member.server_role !== "guest") {
      items.push({
        label: owns ? strings.people.demote : strings.people.promote,
        icon: <Icon of={Crown} />,
        onSelect: () => void app.api.setRoomRole(room.id, member.id, owns ? "member" : "owner").catch(failed),
      });
    }
    if (!isMe && (isAdmin(chat.role.value) || !isAdmin(member.server_role ?? "member"))) {
      items.push({
        label: strings.people.remove,
        icon: <Icon of={UserMinus} />,
        danger: true,
        onSelect: () => (layout.dialog.value = { name: "remove-member", room: room.id, person: member }),
      });
    }
  }
  const roles = isMe ? [] : rolesToGive(chat.role.value, member.server_role ?? "member");
  items.push(
    ...roles.map((role, index) => ({
      label: strings.people.give[role],
      ...(index === 0 && { group: strings.people.server }),
      icon: <Icon of={ShieldUser} />,
      onSelect: () => void app.api.setRole(member.id, role).then(changed, failed),
    })),
  );
  if (items.length === 0) return null;
  return (
    <Menu
      label={strings.people.menu(member.name)}
      class="icon-button icon-button-small person-menu"
      button={<Icon of={EllipsisVertical} size={16} />}
      items={items}
    />
  );
}
