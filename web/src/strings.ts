/** Every word that the UI says. Sentence case, short, friendly; errors say what happened and what to do. */
import type { Format } from "./models/format.ts";
import type { Hindrance, SendFailure } from "./models/outbox.ts";
import type { PersonRef } from "./wire.ts";

const LANGUAGE = "en";
const plurals = new Intl.PluralRules(LANGUAGE);
const numbers = new Intl.NumberFormat(LANGUAGE);
const lists = new Intl.ListFormat(LANGUAGE, { type: "conjunction" });

/** The form of a phrase for a count, with `#` replaced by the count. */
export function plural(count: number, forms: { one: string; other: string }): string {
  const form = plurals.select(count) === "one" ? forms.one : forms.other;
  return form.replace("#", numbers.format(count));
}

// Everything that is written from right to left, and the marks that change a direction.
const TURNS = /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
const MARKS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/**
 * A name as it may stand inside of a sentence: whatever its direction, the words around it stay where they are. Without
 * marks of direction of its own, which could end the isolation (U+2068 to U+2069).
 */
export function isolated(name: string): string {
  return TURNS.test(name) ? `\u2068${name.replace(MARKS, "")}\u2069` : name;
}

/** Tells somebody, or a room, apart from others whose name is the same or looks alike: "#1a2b", which stays theirs. */
export function mark({ id, same_name: shared }: { id: string; same_name?: boolean }): string {
  return shared ? `#${id.slice(-4)}` : "";
}

/** A person's name inside of a sentence, with their mark where they need one. */
export function named(person: PersonRef): string {
  return person.same_name ? `${isolated(person.name)} ${mark(person)}` : isolated(person.name);
}

/** "Ana", "Ana and Ben", "Ana, Ben and 3 others" */
export function names(people: readonly PersonRef[], shown = 3): string {
  const first = people.slice(0, people.length > shown ? shown - 1 : shown).map(named);
  const rest = people.length - first.length;
  return lists.format(rest > 0 ? [...first, plural(rest, { one: "# other", other: "# others" })] : first);
}

const SEND_FAILURES: Record<SendFailure, string> = {
  not_a_member: "You are no longer in this room.",
  too_long: "It is longer than the server allows.",
  empty: "It has no text.",
  conflict: "It was sent before with other words.",
  no_answer: "The server did not answer.",
  refused: "The server did not take it.",
};

const HINDRANCES: Record<Hindrance, string> = {
  database: "The server cannot use its database just now.",
  full: "The server has no room left to store messages.",
  silent: "The server does not answer.",
  failing: "Something fails on the server.",
};

const YOUR_MENU = "your menu";

export const strings = {
  entry: {
    setUpTitle: (server: string) => `Welcome to ${server}`,
    setUpLead: "Make the first account. It looks after this server.",
    inviteTitle: (inviter: PersonRef) => `${named(inviter)} invited you`,
    inviteLead: (room: string, server: string) => `Join ${isolated(room)} on ${isolated(server)}.`,
    signInTitle: (server: string) => `Sign in to ${server}`,
    signInLead: "Good to see you again.",
    notReadyTitle: (server: string) => `${server} is almost ready`,
    notReadyLead: "This server has no account yet.",
    notReadyHow: "Open the set-up link that the server printed in its terminal. It looks like this:",
    noCode: "This link is not complete. Copy it again, up to its last letter.",
    name: "Name",
    nameHint: "The name that others see.",
    email: "E-mail",
    emailHint: "Only for signing in. No mail is sent.",
    password: "Password",
    passwordHint: (least: number) => `At least ${least} characters. No other rule.`,
    showPassword: "Show",
    hidePassword: "Hide",
    showPasswordLabel: "Show password",
    hidePasswordLabel: "Hide password",
    start: "Start",
    signIn: "Sign in",
    join: (room: string) => `Join ${isolated(room)}`,
    working: "One moment…",
    haveAccount: "I have an account",
    newHere: "I am new here",
    haveAccountLead: "Sign in, and you land in the same room.",
    forgotTitle: "Forgot your password?",
    forgot: "Whoever runs the server can set a new one, with this command in its terminal:",
    forgotCommand: "tidings user password you@example.org",
    backToRooms: "Go to your rooms",
    inviteGone: "That invite link does not work any more.",
    inviteGoneHow: "It may have expired or been replaced. Ask the person who sent it for a new one.",
    goSignIn: "Go to sign-in",
    sessionEnded: "Your session has ended. Sign in again to go on; unsent messages are kept.",
    signedOut: "You are signed out.",
    signedInAs: (name: string) => `You are signed in as ${isolated(name)}.`,
    loading: "Loading…",
    triesAgain: "This page tries again by itself.",
    tryAgain: "Try now",
  },
  errors: {
    nameEmpty: "Enter your name.",
    emailEmpty: "Enter your e-mail address.",
    emailOdd: "That does not look like an e-mail address.",
    passwordEmpty: "Enter your password.",
    passwordShort: (least: number, has: number) =>
      `${plural(has, { one: "# character", other: "# characters" })} so far. Use at least ${least}.`,
    passwordCommon: "That password is on the list of the most used ones. Choose another.",
    setUpCode: "That set-up link is not valid. Use the newest one in the server's terminal.",
    setUpDone: "This server is already set up. Sign in instead.",
    accountExists: "An account cannot be made with this e-mail. If you have one, sign in instead.",
    signInFailed: "E-mail or password is wrong. Check both and try again.",
    tooMany: "Too many attempts. Wait a minute and try again.",
    unreachable: "The server did not answer. Check your connection and try again.",
    unknown: "That did not work. Try again.",
    forbidden: "You are not allowed to do that.",
    roomName: "Enter a name for the room.",
  },
  rooms: {
    region: "Rooms",
    heading: "Rooms",
    add: "Create or join a room",
    create: "Create a room",
    browse: "Browse rooms",
    open: "Rooms",
    close: "Close rooms",
    unreadElsewhere: "Rooms, something is unread",
    jump: "Go to…",
    unread: (count: number) => plural(count, { one: "# unread message", other: "# unread messages" }),
    someUnread: "Unread messages",
    draft: "draft",
    none: "You are in no room yet.",
    noneHow: "Join one, or create your own.",
    name: "Name",
    topic: "Topic",
    topicHint: "Optional. What is this room about?",
    createLead: "Everybody on this server can find and join it.",
    createButton: "Create room",
    join: "Join",
    joined: "Joined",
    openRoom: "Open",
    members: (count: number) => plural(count, { one: "# member", other: "# members" }),
    nothingToBrowse: "There are no rooms yet.",
    more: "Show more rooms",
    alike: "another room has a similar name",
    alikeTitle: "Another room has the same name, or a similar one",
    notIn: (name: string) => `You are not in ${isolated(name)}`,
    notInHow: "Join it to read and write here.",
    missing: "That room is not here",
    missingHow: "It does not exist, or it is not open to you.",
    goBack: "Go to another room",
    cancel: "Cancel",
    filter: "Find a room",
  },
  room: {
    region: (name: string) => `Room ${name}`,
    people: "People",
    menu: "Room menu",
    invite: "Invite people",
    leave: "Leave room",
    leaveTitle: (name: string) => `Leave ${isolated(name)}?`,
    leaveLead: "You can join again whenever you like. Your messages stay.",
    leaveButton: "Leave",
    messages: (name: string) => `Messages in ${name}`,
    older: "Loading older messages…",
    beginning: (name: string) => `This is where ${isolated(name)} begins.`,
    historyFailed: "The history could not be loaded.",
    retry: "Try again",
    newLine: "New since you were here",
    newer: "Loading newer messages…",
    newBelow: (count: number, more: boolean) => (count > 0 ? `${numbers.format(count)}${more ? "+" : ""} new ↓` : "New ↓"),
    newBelowLabel: (count: number, more: boolean) =>
      count > 0
        ? `${more ? "More than " : ""}${plural(count, { one: "# new message", other: "# new messages" })}, go to the end`
        : "New messages, go to the end",
    newAbove: (count: number, more: boolean) => `${numbers.format(count)}${more ? "+" : ""} new ↑`,
    newAboveLabel: (count: number, more: boolean) =>
      `${more ? "More than " : ""}${plural(count, { one: "# new message", other: "# new messages" })}, go to the first`,
    toEnd: "Go to the newest message",
    joined: (people: readonly PersonRef[]) => `${names(people)} joined`,
    left: (people: readonly PersonRef[]) => `${names(people)} left`,
    created: (people: readonly PersonRef[]) => `${names(people)} created this room`,
    typing: (people: readonly PersonRef[]) =>
      people.length > 3 ? "Several people are typing…" : `${names(people)} ${people.length === 1 ? "is" : "are"} typing…`,
    edited: "(edited)",
    editedLine: "edited",
    editedAt: (time: string) => `Edited ${time}`,
    editedLabel: (time: string) => `Edited ${time}. Show what it said before`,
    deleted: "Message deleted",
    deletedBy: (who: PersonRef) => `Message deleted by ${named(who)}`,
    deletedWhy: (reason: string) => `: ${isolated(reason)}`,
    actions: (author: string) => `Actions for the message of ${author}`,
    more: "More",
    edit: "Edit",
    copyText: "Copy text",
    markUnread: "Mark as unread from here",
    copied: "Copied",
    copyLink: "Copy link",
    linkCopied: "Link copied",
    noSuchMessage: "There is no such message here.",
    copyFailed: "This browser does not let the page copy. Select the text instead.",
    delete: "Delete",
    deleteTitle: (author: PersonRef) => `Delete the message of ${named(author)}?`,
    deleteLead: "Its text is gone for everybody. The room sees that you deleted it, and why.",
    deleteReason: "Reason",
    deleteReasonEmpty: "Say why. The room reads it.",
    undo: "Undo",
    undoRegion: "Deleted message",
    editLabel: "Edit the message",
    editSave: "Save",
    editCancel: "Cancel",
    editHint: "Enter saves, Escape cancels",
    edits: "What it said before",
    editsNow: "Now",
    editsMore: "Show earlier ones",
    editsNone: "The message was deleted, and with it what it said before.",
    sending: "sending",
    waiting: "Waiting for the connection",
    waitingForServer: "Waiting for the server",
    stillTrying: "Still trying",
    notSent: "Not sent.",
    failure: (failure: SendFailure) => SEND_FAILURES[failure],
    retrySend: "Retry",
    retryAllSends: (count: number) => `Retry all ${numbers.format(count)}`,
    deleteUnsent: "Delete",
    messageLabel: (author: string, time: string, body: string, notes: readonly string[]) =>
      [`${author}, ${time}: ${body}`, ...notes.filter((note) => note !== "")].join(", "),
    reply: "Reply",
    answers: (author: string) => `replied to ${isolated(author)}: `,
    inReplyTo: "In reply to",
    goToAnswered: "Go to what this answers",
  },
  reactions: {
    label: "Reactions",
    add: "React",
    you: "you",
    by: (people: string) => `by ${people}`,
    one: (emoji: string, people: string) => `${emoji} by ${people}`,
    /** Names, and how many there are beside them. */
    people: (named: readonly string[], others: number) =>
      lists.format([...named.map(isolated), ...(others > 0 ? [plural(others, { one: "# other", other: "# others" })] : [])]),
    count: (count: number) => (count > 0 ? plural(count, { one: "# reaction", other: "# reactions" }) : ""),
  },
  emoji: {
    title: "Choose an emoji",
    search: "Search emoji",
    recent: "Used lately",
    results: "Found",
    none: "No emoji goes by that name.",
    found: (count: number) => plural(count, { one: "# emoji found", other: "# emoji found" }),
    failed: "The emoji could not be loaded. Close this and try again.",
    offered: "Emoji by name",
    groups: ["Smileys", "People", "Animals and nature", "Food and drink", "Travel and places", "Activities", "Objects", "Symbols", "Flags"],
  },
  composer: {
    emoji: "Emoji",
    replyingTo: (author: string) => `Replying to ${isolated(author)}`,
    cancelReply: "Do not reply",
    label: "Message",
    placeholder: (room: string) => `Message ${isolated(room)}`,
    send: "Send",
    tooLong: (over: number) => `${plural(over, { one: "# character", other: "# characters" })} too long for one message.`,
    nearlyFull: (left: number) => `${plural(left, { one: "# character", other: "# characters" })} left`,
    sendAs: (count: number) => `Send as ${numbers.format(count)} messages`,
    toolbar: "Formatting",
    showToolbar: "Show formatting",
    hideToolbar: "Hide formatting",
    formats: {
      bold: "Bold",
      italic: "Italic",
      strike: "Strikethrough",
      code: "Code",
      link: "Link",
      quote: "Quote",
      list: "List",
    } satisfies Record<Format, string>,
  },
  content: {
    code: "Code",
    codeIn: (language: string | undefined) => (language === undefined ? "Code" : `Code, ${language}`),
    copy: "Copy",
    copyLabel: "Copy the code",
    copied: "Copied",
    copyByHand: "Press Ctrl+C to copy",
    leadsTo: (host: string) => `(${host})`,
    more: "Show more",
    less: "Show less",
  },
  people: {
    region: "People",
    here: (count: number) => `Here now, ${numbers.format(count)}`,
    members: (count: number) => `Away, ${numbers.format(count)}`,
    you: "you",
    alike: "Somebody else has the same name, or a similar one",
    hereLabel: "here now",
    admin: "looks after the server",
    close: "Close people",
    failed: "The list of members could not be loaded.",
    remove: "Remove",
    removeLabel: (name: string) => `Remove ${name} from the room`,
    removeTitle: (name: string, room: string) => `Remove ${isolated(name)} from ${isolated(room)}?`,
    removeLead: "From then on nothing that is said there reaches them.",
  },
  invite: {
    title: (room: string) => `Invite people to ${isolated(room)}`,
    welcome: (room: string) => `${isolated(room)} is yours. Bring somebody in`,
    lead: "Whoever opens this link can make an account and lands in this room.",
    link: "Invite link",
    copy: "Copy",
    copied: "Copied",
    copyByHand: "Press Ctrl+C to copy",
    share: "Share",
    shareText: (room: string, server: string) => `Join ${isolated(room)} on ${isolated(server)}`,
    qr: "QR code of the invite link",
    onlyThisComputer: "Only this computer can open the link for now. To let others in, start the server with",
    onlyThisComputerOptions: (port: string) => [`--listen 0.0.0.0:${port}`, "--public-url"],
    show: "Show the link",
    until: (date: string) => `Works until ${date}.`,
    renew: "Make a new link",
    renewLead: "The old link stops working at once.",
    renewed: "This is a new link. The old one no longer works.",
    and: "and",
    dismiss: "Dismiss",
    failed: "The invite link could not be loaded.",
    revoked: "The invite link of this room was revoked. The one who made the room or an administrator can make a new one.",
  },
  me: {
    menu: (name: string) => `${name}: ${YOUR_MENU}`,
    yours: YOUR_MENU,
    theme: "Theme",
    system: "System",
    light: "Light",
    dark: "Dark",
    readAll: "Mark all as read",
    shortcuts: "Keyboard shortcuts",
    devices: "Signed-in devices",
    signOut: "Sign out",
    unsentTitle: "Sign out and lose unsent messages?",
    unsentLead: (count: number) =>
      plural(count, {
        one: "# message was not sent yet. Signing out deletes it from this computer.",
        other: "# messages were not sent yet. Signing out deletes them from this computer.",
      }),
    thisDevice: "This device",
    lastSeen: (time: string) => `Last used ${time}`,
    signOutDevice: "Sign out",
    signOutDeviceLabel: (device: string) => `Sign out ${device}`,
    unknownDevice: "Unknown device",
    devicesFailed: "The list of devices could not be loaded.",
  },
  switcher: {
    title: "Go to a room",
    label: "Room name",
    nothing: "No room with that name.",
    nothingYet: "No room with that name so far. There are more rooms.",
    notJoined: "not joined",
  },
  shortcuts: {
    title: "Keyboard shortcuts",
    or: "or",
    list: (command: string): [keys: string[], what: string][] => [
      [[`${command}+K`], "Go to a room"],
      [["Alt+↑", "Alt+↓"], "Room above, below"],
      [["Alt+Shift+↑", "Alt+Shift+↓"], "Unread room above, below"],
      [["Enter"], "Send the message"],
      [["Shift+Enter"], "New line"],
      [[`${command}+B`, `${command}+I`, `${command}+E`], "Bold, italic, code"],
      [[`${command}+Shift+X`, `${command}+Shift+L`], "Strikethrough, link"],
      [[`${command}+Shift+9`, `${command}+Shift+8`], "Quote, list"],
      [["↑"], "Edit your last message, in an empty composer"],
      [["↑", "↓"], "Move by message, in the list"],
      [["E"], "Edit the message, in the list"],
      [["R", "+"], "Reply to it, react to it"],
      [["Page Up", "Page Down"], "Scroll the messages, from the composer too"],
      [["Home", "End"], "First and last message shown"],
      [["Shift+Esc"], "Mark all rooms as read"],
      [["F6"], "Next part of the page"],
      [["Esc"], "Close, then back to the composer"],
      [["?"], "This sheet"],
    ],
  },
  connection: {
    region: "Connection",
    reconnecting: "Reconnecting…",
    tryNow: "Try now",
    stopped: "The server closed the connection.",
    reconnect: "Reconnect",
    hindered: (why: Hindrance) => `${HINDRANCES[why]} Your messages wait.`,
  },
  announce: {
    message: (author: string, body: string) => `${author}: ${body}`,
    messages: (count: number) => plural(count, { one: "# new message", other: "# new messages" }),
    reconnected: "Connected again",
    notSent: "A message was not sent",
    allRead: "All rooms are read",
  },
  dialog: { close: "Close" },
  skip: "Skip to the composer",
};
