//! A bounded queue in which everybody's turn comes: whoever sends many waits behind their own, not in front of others.
//!
//! Items wait in a line a source, and the lines are served in turn. Known sources go first: of three turns they have two,
//! and the others one, so that nobody waits for ever. When no more may wait, those who take more than half of the places
//! make room for the others; otherwise the oldest item of the longest line does: it is its own sender's. Where every line
//! has one item, whoever comes is refused. No clock, no lock.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// Turns that go to known sources, one after the other, before one goes to the others that wait.
const TURNS_AHEAD: u32 = 2;

/// Whose turn it is, line by line.
#[derive(Debug)]
pub(crate) struct FairQueue<S, T> {
    capacity: usize,
    lines: HashMap<S, VecDeque<T>>,
    /// Those that go first, and the others.
    classes: [Class<S>; 2],
    /// Turns of the first class since the last one of the other.
    ahead: u32,
}

#[derive(Debug)]
struct Class<S> {
    /// Items in its lines.
    len: usize,
    /// The sources with something in line, in the order of their turns.
    turns: VecDeque<S>,
}

/// Who waits, and whether they go before the others.
pub(crate) trait Source: Clone + Eq + Hash {
    fn goes_first(&self) -> bool;
}

impl<S: Source, T> FairQueue<S, T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let classes = [(); 2].map(|()| Class { len: 0, turns: VecDeque::new() });
        Self { capacity, lines: HashMap::new(), classes, ahead: 0 }
    }

    /// Puts `item` at the end of its source's line. Dropping what comes back tells its sender that it will not be done:
    /// the item itself, or an older one that made room for it.
    pub(crate) fn push(&mut self, source: S, item: T) -> Option<T> {
        let class = class_of(&source);
        let mut dropped = None;
        if self.classes.iter().map(|class| class.len).sum::<usize>() >= self.capacity {
            match self.make_room(class) {
                None => return Some(item),
                made_room => dropped = made_room,
            }
        }
        self.classes[class].len += 1;
        let line = self.lines.entry(source.clone()).or_default();
        if line.is_empty() {
            self.classes[class].turns.push_back(source);
        }
        line.push_back(item);
        dropped
    }

    /// The next item in turn.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let class = match self.classes.each_ref().map(|class| class.len > 0) {
            [false, false] => return None,
            [true, others_wait] if !others_wait || self.ahead < TURNS_AHEAD => 0,
            _ => 1,
        };
        self.ahead = if class == 0 { self.ahead.saturating_add(1) } else { 0 };
        let source = self.classes[class].turns.pop_front()?;
        let line = self.lines.get_mut(&source)?;
        let item = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&source);
        } else {
            self.classes[class].turns.push_back(source);
        }
        self.classes[class].len -= 1;
        item
    }

    /// Looks at all lines: it happens only while the queue is full, and a queue holds no more than it takes some seconds to
    /// work off.
    fn make_room(&mut self, newcomer: usize) -> Option<T> {
        let is_owed = self.classes[newcomer].len < self.capacity / 2;
        let class = if is_owed { 1 - newcomer } else { newcomer };
        let lines = self.lines.iter().filter(|(source, _)| class_of(*source) == class);
        let (longest, line) = lines.max_by_key(|(_, line)| line.len())?;
        if line.len() < 2 && !is_owed {
            return None;
        }
        let longest = longest.clone();
        let line = self.lines.get_mut(&longest)?;
        let item = line.pop_front()?;
        if line.is_empty() {
            self.lines.remove(&longest);
            self.classes[class].turns.retain(|source| *source != longest);
        }
        self.classes[class].len -= 1;
        Some(item)
    }
}

fn class_of(source: &impl Source) -> usize {
    usize::from(!source.goes_first())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    enum From {
        Friend(u32),
        Stranger(u32),
    }

    impl Source for From {
        fn goes_first(&self) -> bool {
            matches!(self, Self::Friend(_))
        }
    }

    fn served(mut queue: FairQueue<From, &'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn sources_are_served_in_turn_however_much_one_of_them_sends() {
        let mut queue = FairQueue::new(10);
        for item in ["a1", "a2", "a3"] {
            assert_eq!(queue.push(From::Stranger(1), item), None);
        }
        queue.push(From::Stranger(2), "b1");
        queue.push(From::Stranger(3), "c1");
        assert_eq!(served(queue), ["a1", "b1", "c1", "a2", "a3"]);
    }

    #[test]
    fn when_no_more_may_wait_the_oldest_of_the_greediest_makes_room() {
        let mut queue = FairQueue::new(3);
        for (source, item) in [(1, "a1"), (1, "a2"), (2, "b1")] {
            queue.push(From::Stranger(source), item);
        }
        assert_eq!(queue.push(From::Stranger(3), "c1"), Some("a1"));
        assert_eq!(queue.push(From::Stranger(4), "d1"), Some("d1"), "each waits for one: whoever comes is refused");
        assert_eq!(served(queue), ["a2", "b1", "c1"]);
    }

    #[test]
    fn who_is_known_goes_first_and_finds_a_place() {
        let mut queue = FairQueue::new(2);
        queue.push(From::Stranger(1), "a1");
        queue.push(From::Stranger(2), "b1");
        let dropped = queue.push(From::Friend(1), "mine");
        assert!(matches!(dropped, Some("a1" | "b1")), "{dropped:?}");
        let served = served(queue);
        assert_eq!((served.len(), served[0]), (2, "mine"));
    }

    #[test]
    fn however_many_go_first_every_third_turn_is_another_ones() {
        let mut queue = FairQueue::new(10);
        for item in ["f1", "f2", "f3", "f4", "f5"] {
            queue.push(From::Friend(1), item);
        }
        queue.push(From::Stranger(1), "a1");
        queue.push(From::Stranger(2), "b1");
        assert_eq!(served(queue), ["f1", "f2", "a1", "f3", "f4", "b1", "f5"]);
    }

    #[test]
    fn those_who_go_first_leave_half_of_the_places() {
        let mut queue = FairQueue::new(4);
        for (friend, item) in [(1, "f1"), (2, "g1"), (3, "h1"), (3, "h2")] {
            queue.push(From::Friend(friend), item);
        }
        assert_eq!(queue.push(From::Stranger(1), "a1"), Some("h1"), "the oldest of the greediest");
        assert!(queue.push(From::Stranger(2), "b1").is_some(), "then any");
        assert_eq!(queue.push(From::Stranger(3), "c1"), Some("c1"), "half is theirs");
        assert_eq!(queue.push(From::Friend(4), "i1"), Some("i1"), "and half the others'");
        assert_eq!(served(queue).len(), 4);
    }

    #[test]
    fn a_source_that_comes_back_has_its_turn_again() {
        let mut queue = FairQueue::new(2);
        for item in ["one", "two", "three"] {
            assert_eq!(queue.push(From::Stranger(1), item), None);
            assert_eq!(queue.pop(), Some(item));
        }
        assert_eq!(queue.pop(), None);
        assert!(queue.lines.is_empty() && queue.classes.iter().all(|class| class.turns.is_empty()));
    }
}
