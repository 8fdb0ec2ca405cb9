import { SmilePlus } from "lucide";
import { useRef, useState } from "preact/hooks";
import { NAME_CHARACTERS_MAX, STATUS_CHARACTERS_MAX, TITLE_CHARACTERS_MAX } from "../../limits.ts";
import type { Chat } from "../../models/chat.ts";
import type { Layout } from "../../models/layout.ts";
import { endOf, ownZone, SPANS, zones, type Span } from "../../models/profile.ts";
import { endTime } from "../../models/times.ts";
import { strings } from "../../strings.ts";
import type { Profile } from "../../wire.ts";
import { Field } from "../Field.tsx";
import { Icon } from "../Icon.tsx";
import { Choose } from "./Choose.tsx";
import { SectionForm } from "./SectionForm.tsx";

const { profile: words, settings, errors } = strings;

/** What others see of this person. */
export function ProfileSection({ chat, layout }: { chat: Chat; layout: Layout }) {
  const profile = chat.people.find(chat.me.id);
  if (!profile) return <p class="settings-lead">{settings.loading}</p>;
  return (
    <>
      <AboutForm chat={chat} profile={profile} />
      <StatusForm chat={chat} layout={layout} profile={profile} />
      <QuietForm chat={chat} profile={profile} />
    </>
  );
}

function AboutForm({ chat, profile }: { chat: Chat; profile: Profile }) {
  const [name, setName] = useState(profile.name);
  const [title, setTitle] = useState(profile.title ?? "");
  const [zone, setZone] = useState(profile.zone ?? "");
  const [known] = useState(() => zones(profile.zone ?? "", ownZone()));
  const own = ownZone();
  return (
    <SectionForm
      title={words.about}
      names={["name", "title", "zone"]}
      action={settings.save}
      done={settings.saved}
      check={() => (name.trim() === "" ? { name: errors.nameEmpty } : {})}
      onSubmit={() => chat.editProfile({ name: name.trim(), title: title.trim(), zone })}
    >
      {(problems) => (
        <>
          <Field label={words.name} name="name" value={name} onInput={setName} error={problems.name} hint={words.nameHint} autocomplete="name" maxLength={NAME_CHARACTERS_MAX} required />
          <Field label={words.title} name="title" value={title} onInput={setTitle} error={problems.title} hint={words.titleHint} autocomplete="organization-title" maxLength={TITLE_CHARACTERS_MAX} />
          <Choose
            label={words.zone}
            value={zone}
            onChange={setZone}
            error={problems.zone}
            hint={words.zoneHint}
            options={[
              { value: "", label: words.noZone },
              { value: own, label: words.ownZone(own) },
              ...known.filter((other) => other !== own).map((other) => ({ value: other, label: other.replaceAll("_", " ") })),
            ]}
          />
        </>
      )}
    </SectionForm>
  );
}

function StatusForm({ chat, layout, profile }: { chat: Chat; layout: Layout; profile: Profile }) {
  const { status } = profile;
  const [emoji, setEmoji] = useState(status?.emoji ?? "");
  const [text, setText] = useState(status?.text ?? "");
  const [span, setSpan] = useState<Span | "kept">(status ? "kept" : "today");
  const [problem, setProblem] = useState(false);
  const picker = useRef<HTMLButtonElement>(null);
  const kept = status ? [{ value: "kept" as const, label: words.kept(status.ends === undefined ? null : endTime(status.ends, Date.now())) }] : [];

  const set = async (): Promise<void> => {
    const ends = span === "kept" ? status?.ends : endOf(span, Date.now());
    await chat.editProfile({ status: { emoji, text: text.trim(), ...(ends !== undefined && { ends }) } });
    setSpan("kept");
  };
  const clear = async (): Promise<void> => {
    setProblem(false);
    try {
      await chat.editProfile({ status: null });
      setEmoji("");
      setText("");
      setSpan("today");
    } catch {
      setProblem(true);
    }
  };
  return (
    <SectionForm
      title={words.status}
      names={["status"]}
      action={words.setStatus}
      done={settings.saved}
      check={() => (emoji === "" && text.trim() === "" ? { status: words.statusEmpty } : {})}
      onSubmit={set}
      beside={
        status && (
          <button type="button" class="button" onClick={() => void clear()}>
            {words.clearStatus}
          </button>
        )
      }
    >
      {(problems) => (
        <>
          <div class="status-row">
            <button
              ref={picker}
              type="button"
              class="button status-emoji"
              aria-label={emoji === "" ? words.chooseEmoji : words.otherEmoji(emoji)}
              title={words.chooseEmoji}
              onClick={() => layout.pickEmoji(picker.current, setEmoji)}
            >
              {emoji === "" ? <Icon of={SmilePlus} /> : emoji}
            </button>
            <Field label={words.statusText} name="status" value={text} onInput={setText} error={problems.status ?? (problem ? errors.unknown : undefined)} maxLength={STATUS_CHARACTERS_MAX} />
          </div>
          <Choose
            label={words.until}
            value={span}
            onChange={setSpan}
            options={[...kept, ...SPANS.map((value) => ({ value, label: words.spans[value] }))]}
          />
        </>
      )}
    </SectionForm>
  );
}

function QuietForm({ chat, profile }: { chat: Chat; profile: Profile }) {
  const { quiet } = profile;
  const [span, setSpan] = useState<Span>("hour");
  const ends = quiet?.ends;
  return (
    <SectionForm
      // Another form where the one before has done its work.
      key={String(quiet !== undefined)}
      title={words.quiet}
      names={["quiet"]}
      action={quiet ? words.quietOff : words.quietOn}
      done=""
      onSubmit={() => {
        const until = endOf(span, Date.now());
        return chat.editProfile({ quiet: quiet ? null : { ...(until !== undefined && { ends: until }) } });
      }}
    >
      {() =>
        quiet ? (
          <p class="settings-lead">{words.isQuiet(ends === undefined ? null : endTime(ends, Date.now()))}</p>
        ) : (
          <>
            <p class="settings-lead">{words.quietLead}</p>
            <Choose label={words.until} value={span} onChange={setSpan} options={SPANS.map((value) => ({ value, label: words.quietSpans[value] }))} />
          </>
        )
      }
    </SectionForm>
  );
}
