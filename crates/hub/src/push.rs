//! One event of a channel on its way to many: written and framed once for each form that a subscriber may need.

use std::sync::Arc;

use bytes::Bytes;
use tidings_protocol::{Chained, EncodeError, Encoding, Label, Payload, Publication, PushEvent};

use crate::ChannelName;
use crate::format::Format;

/// How a subscriber gets what happens in a channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) format: Format,
    /// Publications as differences to the one before.
    pub(crate) takes_differences: bool,
    /// The channel goes by its number instead of its name.
    pub(crate) by_number: bool,
}

/// An event of a channel, while it is given to all who follow it.
pub(crate) struct Push {
    channel: ChannelName,
    /// What numbers the channel in forms that go by it.
    channel_number: i64,
    event: Event,
    /// The publication before, which those who take differences have.
    before: Option<Payload>,
    frames: Vec<(Form, Framed)>,
}

enum Event {
    Publication(Arc<Publication>),
    Other(Box<PushEvent>),
}

/// An event in one form.
#[derive(Clone, Debug)]
pub(crate) enum Framed {
    /// For everybody.
    One(Bytes),
    /// For those who have the publication before, and for those who do not.
    Difference { difference: Bytes, whole: Bytes },
}

impl Form {
    pub(crate) fn is(self, other: Self) -> bool {
        self.format.is(other.format)
            && self.takes_differences == other.takes_differences
            && self.by_number == other.by_number
    }

    /// How this form names a channel.
    pub(crate) fn label(self, channel: &ChannelName, number: i64) -> Label<'_> {
        if self.by_number { Label::Number(number) } else { Label::Channel(channel.as_str()) }
    }
}

impl Push {
    /// A publication, and what the one before held, where it may be written as the difference.
    pub(crate) fn publication(
        (channel, channel_number): (&ChannelName, i64),
        publication: Arc<Publication>,
        before: Option<Payload>,
    ) -> Self {
        let event = Event::Publication(publication);
        Self { channel: channel.clone(), channel_number, event, before, frames: Vec::new() }
    }

    pub(crate) fn event((channel, channel_number): (&ChannelName, i64), event: PushEvent) -> Self {
        let event = Event::Other(Box::new(event));
        Self { channel: channel.clone(), channel_number, event, before: None, frames: Vec::new() }
    }

    /// 0 for what is not part of the stream.
    pub(crate) fn offset(&self) -> u64 {
        match &self.event {
            Event::Publication(publication) => publication.offset,
            Event::Other(_) => 0,
        }
    }

    /// What a filter looks at; `None` for what everybody gets.
    pub(crate) fn filtered(&self) -> Option<&Publication> {
        match &self.event {
            Event::Publication(publication) => Some(publication),
            Event::Other(_) => None,
        }
    }

    /// The event in a form; all subscribers of that form share the same bytes. `None` when its encoding cannot carry it.
    pub(crate) fn frame(&mut self, form: Form) -> Option<Framed> {
        if let Some((_, framed)) = self.frames.iter().find(|(known, _)| known.is(form)) {
            return Some(framed.clone());
        }
        let framed = self.write(form).ok()?;
        self.frames.push((form, framed.clone()));
        Some(framed)
    }

    fn write(&self, form: Form) -> Result<Framed, EncodeError> {
        let (format, encoding) = (form.format, form.format.encoding);
        let label = form.label(&self.channel, self.channel_number);
        let publication = match &self.event {
            Event::Other(event) => return Ok(Framed::One(format.wrap_shared(encoding.encode_push(label, event)?))),
            Event::Publication(publication) => publication,
        };
        let write =
            |publication| encoding.encode_publication(label, publication).map(|message| format.wrap_shared(message));
        if !form.takes_differences {
            return Ok(Framed::One(write(publication)?));
        }
        let (whole, difference) = written_for_differences(encoding, self.before.as_ref(), publication)?;
        let whole = write(&whole)?;
        Ok(match difference {
            Some(difference) => Framed::Difference { difference: write(&difference)?, whole },
            None => Framed::One(whole),
        })
    }
}

/// Writes a publication for one subscriber alone, whole and not wrapped.
///
/// # Errors
/// [`EncodeError`] when the form's encoding cannot carry it.
pub(crate) fn write_whole(
    form: Form,
    (channel, channel_number): (&ChannelName, i64),
    publication: &Publication,
) -> Result<Bytes, EncodeError> {
    let (encoding, label) = (form.format.encoding, form.label(channel, channel_number));
    if form.takes_differences {
        let (whole, _) = written_for_differences(encoding, None, publication)?;
        return encoding.encode_publication(label, &whole);
    }
    encoding.encode_publication(label, publication)
}

/// A publication as it is written for who takes differences: whole, and as the difference to what was `before` where that
/// is shorter.
fn written_for_differences(
    encoding: Encoding,
    before: Option<&Payload>,
    publication: &Publication,
) -> Result<(Publication, Option<Publication>), EncodeError> {
    let Some(data) = &publication.data else { return Ok((publication.clone(), None)) };
    let Chained { full, delta } = encoding.chain(before, data)?;
    let difference = delta.map(|delta| Publication { data: Some(delta), delta: true, ..publication.clone() });
    Ok((Publication { data: Some(full), ..publication.clone() }, difference))
}

/// Publications in a row as they are written for who takes differences: the first whole, then each as the difference to the
/// one before.
///
/// # Errors
/// [`EncodeError`] when the encoding cannot carry one of them.
pub(crate) fn as_differences(
    encoding: Encoding,
    publications: Vec<Publication>,
) -> Result<Vec<Publication>, EncodeError> {
    let mut before = None;
    let mut written = Vec::with_capacity(publications.len());
    for publication in publications {
        let (whole, difference) = written_for_differences(encoding, before.as_ref(), &publication)?;
        written.push(difference.unwrap_or(whole));
        before = publication.data;
    }
    Ok(written)
}
