//! Feeding a machine as event loops do, for the tests and for the fuzz targets.

use bytes::BufMut;
use tidings_websocket::{Event, Machine, ProtocolError};

/// Everything that some bytes mean to a machine, and everything that it answers, with the bytes given in pieces.
pub(crate) fn run(machine: &mut Machine, bytes: &[u8], cuts: &[usize]) -> (Vec<Result<Event, ProtocolError>>, Vec<u8>) {
    let (mut events, mut replies) = (Vec::new(), Vec::new());
    let mut bytes = bytes.to_vec();
    let mut rest = bytes.as_mut_slice();
    let mut cuts = cuts.iter().copied().cycle();
    while !rest.is_empty() {
        let size = cuts.next().unwrap_or(usize::MAX).clamp(1, rest.len());
        let (piece, later) = rest.split_at_mut(size);
        let mut at = 0;
        while at < piece.len() {
            let step = machine.receive(&mut piece[at..]);
            assert!(step.consumed > 0, "a machine always makes progress");
            at += step.consumed;
            events.extend(step.event);
            replies.extend(step.reply.iter().flat_map(|frame| frame.to_bytes().to_vec()));
        }
        rest = later;
    }
    (events, replies)
}

/// The same as a socket does it: what is missing of a long payload is read straight into the message.
pub(crate) fn run_directly(
    machine: &mut Machine,
    mut wire: &[u8],
    cuts: &[usize],
) -> Vec<Result<Event, ProtocolError>> {
    let (mut events, mut input) = (Vec::new(), Vec::new());
    let mut cuts = cuts.iter().copied().cycle();
    while !wire.is_empty() || !input.is_empty() {
        let most = cuts.next().unwrap_or(usize::MAX).clamp(1, wire.len().max(1));
        let mut arrive = |room: usize| {
            let arrived;
            (arrived, wire) = wire.split_at(most.min(room).min(wire.len()));
            arrived
        };
        let direct = match input.is_empty() {
            true => machine.receive_directly(|room| room.put_slice(arrive(room.remaining_mut())), &mut input),
            false => None,
        };
        let step = match direct {
            Some(((), step)) => step,
            None => {
                if input.is_empty() {
                    input.extend_from_slice(arrive(usize::MAX));
                }
                let step = machine.receive(&mut input);
                input.drain(..step.consumed);
                step
            }
        };
        events.extend(step.event);
    }
    events
}
