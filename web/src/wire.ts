/** The JSON that the server speaks over REST and the socket: types only, named as on the wire. */

export type PersonRef = {
  id: string;
  name: string;
  /** Somebody else has the same name, or one that looks alike. */
  same_name?: boolean;
};

/** What somebody may do on the whole server. */
export type Role = "owner" | "admin" | "member" | "guest";

export type Person = PersonRef & { email: string; role: Role };

/** What somebody is at, for a while: until `ends`, or until they take it away. */
export type Status = { emoji?: string; text?: string; ends?: number };

/** Somebody as others see them. */
export type Profile = PersonRef & {
  role?: Role;
  deactivated?: boolean;
  title?: string;
  /** The name of their time zone. */
  zone?: string;
  status?: Status;
  /** They want no disturbance: until `ends`, or until they say so. */
  quiet?: { ends?: number };
  /** When they changed it last. */
  changed: number;
};

/** Somebody who was found by name; the role is absent where it is what everybody may. */
export type Found = PersonRef & { role?: Role };

export type Member = PersonRef & {
  /** `owner` or `member`. */
  role: string;
  /** Absent where it is what everybody may. */
  server_role?: Role;
};

export type RoomKind = "public" | "private" | "direct";

/** What all in a room know of it. */
export type RoomFacts = { name: string; topic: string | null; description?: string; kind?: RoomKind; archived?: number };

export type RoomInfo = {
  id: string;
  name: string;
  topic: string | null;
  description?: string;
  /** Absent from servers that have public rooms alone. */
  kind?: RoomKind;
  /** Since when nothing is written there any more. */
  archived?: number;
  member: boolean;
  /** As what: `owner` or `member`. */
  role?: string;
  /** Of a direct message, the others in it. */
  people?: PersonRef[];
  members: number;
  /** Number of the room's newest event. */
  offset: number;
  epoch: string;
  created: number;
  /** Another room has the same name, or one that looks alike. */
  same_name?: boolean;
  /** The number of the last event that this person has read; absent, as what follows, where they are no member. */
  read?: number;
  /** How many messages of others stand behind it; 100 are so many or more. */
  unread?: number;
  /** How many of them mention this person. */
  mentions?: number;
  /** When the last message was posted there. */
  last_message?: number;
} & Preferences;

/** How this person keeps a room; what is absent is as it is with everybody. */
export type Preferences = {
  /** It stands before all others. */
  favourite?: boolean;
  /** What is said there is not brought up. */
  muted?: boolean;
  /** The heading of their own under which it stands. */
  section?: string;
};

/** The same with its room. */
export type RoomPreferences = Preferences & { id: string };

/** How far this person has read a room, and what waited there when `offset` was its last number. */
export type RoomReading = { id: string; offset: number; read: number; unread: number; mentions: number };

export type RoomsPage = {
  rooms: RoomInfo[];
  /** Whether there are more that this person is not in. */
  more?: boolean;
};

/**
 * The tree of a message's text, where it has marks. Whoever does not know a `type` shows its `content`, its `items` or its
 * `text`.
 */
export type Block =
  | { type: "p"; content: Inline[] }
  | { type: "heading"; level: number; content: Inline[] }
  | { type: "quote"; content: Block[] }
  | { type: "code_block"; language?: string; text: string }
  | { type: "list" | "ordered_list"; items: ListItem[] }
  | { type: "rule" };

export type ListItem = { number?: number; content: Block[] };

/** Text as it is, or a marked piece of it. */
export type Inline =
  | string
  | { type: "em" | "strong" | "strike"; content: Inline[] }
  | { type: "code"; text: string }
  | MentionMark
  | { type: "room"; id: string; text: string }
  | LinkMark;

/** `text` is the name with its `@`; `person` is absent where it is everybody, and where one is not told who it is. */
export type MentionMark = { type: "mention"; person?: string; everybody?: "here" | "room"; text: string };

/** Without content, the address itself is shown. */
export type LinkMark = { type: "link"; href: string; title?: string; content?: Inline[] };

export type Message = {
  id: string;
  room: string;
  number: number;
  client_id: string;
  author: PersonRef;
  /** Empty, or absent, once the message is deleted. */
  body?: string;
  /** Absent where the text is plain: lines and paragraphs. */
  content?: Block[] | undefined;
  /** Milliseconds since the Unix epoch, as are all times. */
  time: number;
  /** When it got its present text; absent while that is its first. */
  edited?: number;
  /** Absent while it stands. */
  deleted?: Deleted;
  /** What it answers. */
  reply_to?: Answered;
  /** In pages and where one message is read; what comes live has none, because each reaction is an event. */
  reactions?: Reacted[];
  /** Of an answer in a thread, the id of the message that the thread is under. */
  thread?: string;
  /** Of such an answer, that it stands among the room's messages too. */
  also_in_room?: boolean;
  /** What stands in the thread under it, where reactions come along too. */
  replies?: Replies;
};

/** What stands in a thread: how many answers (1,000 are so many or more), the newest, and who answered last. */
export type Replies = { count: number; last: { id: string; number: number; time: number }; people: PersonRef[] };

/** How far this person has read a thread; `id` is that of the message that it is under. */
export type ThreadReading = { id: string; room: string; offset: number; following: boolean; read: number; unread: number };

export type ThreadPage = {
  root: Message;
  /** Ascending by number. */
  messages: Message[];
  more: boolean;
  epoch: string;
  /** With the offset up to which the page is as it says. */
  reading: ThreadReading;
};

/** A thread that this person follows. */
export type ThreadCard = ThreadReading & { root: Answered; replies: Replies; last: Answered };

export type ThreadsPage = { threads: ThreadCard[]; more: boolean; unread: number };

/** The message that another one answers: how it begins, in one line without marks; each room in it as `#…`, in the order of `rooms`. */
export type Answered = { id: string; number: number; author: PersonRef; text?: string; rooms?: string[]; deleted?: boolean };

/** Those who reacted with the same emoji: how many, whether this person is among them, and the first of them. */
export type Reacted = { emoji: string; count: number; mine?: boolean; people: PersonRef[] };

export type Reaction = { message: string; emoji: string; person: PersonRef };

export type Deleted = { time: number; by: PersonRef; reason?: string };

/** What a message said before it was edited; `time` is since when. */
export type Edit = { number: number; time: number; body: string; content?: Block[] };

/** Something that concerns this person: who mentioned them, answered them, or reacted to what they wrote. */
export type Activity = {
  kind: "mention" | "here" | "room" | "reply" | "reaction";
  time: number;
  actor: PersonRef;
  emoji?: string;
  /** The number of the event that brought it. */
  event: number;
  room: string;
  message: Answered;
};

export type ActivityKind = "mentions" | "replies" | "reactions";

/** The newest first; `next` is from where the page after it goes on. */
export type ActivityPage = { activity: Activity[]; next?: string };

export type EditsPage = { edits: Edit[]; more: boolean };

/** Something that happened in a room. Types that this version does not know still count: they have a number. */
export type RoomEvent = {
  type: string;
  number: number;
  time: number;
  message?: Message;
  reaction?: Reaction;
  member?: PersonRef;
  /** Who did it, where that is somebody else than the member. */
  by?: PersonRef;
  /** The room as it is at present, where the event is about that. */
  room?: RoomFacts;
};

export type EventsPage = {
  /** Ascending by number, without gaps. */
  events: RoomEvent[];
  epoch: string;
  /** Number of the room's newest event when the page was read. */
  offset: number;
  more: boolean;
};

export type Posted = { id: string; number: number; time: number };

export type Invite = { code: string; url: string; expires: number | null; max_uses: number | null; uses: number };

export type InvitePreview = { server: { name: string }; inviter: PersonRef; room: PersonRef };

/** What a personal token may be good for. */
export const SCOPES = ["read", "write", "rooms"] as const;
export type Scope = (typeof SCOPES)[number];

export type PersonalToken = { id: string; name: string; scopes: Scope[]; created: number; expires?: number; last_used?: number };

export type DeviceSession = {
  id: string;
  created: number;
  last_seen: number;
  current: boolean;
  user_agent: string | null;
  /** Where it was used from lately; absent where that is not known. */
  address?: string;
};

/** What the shell tells the page before it asks anything. */
export type Boot = {
  server_name: string;
  version: string;
  websocket_url: string;
  setup_needed: boolean;
  only_this_computer: boolean;
  public_url: string;
};
