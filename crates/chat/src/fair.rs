//! A bounded queue in which everybody's turn comes: whoever sends many waits behind their own, not in front of others.
//!
//! Items wait in a line a source, and the lines are served in turn. What comes from a known source goes before all
//! others; there are few of those, each with a limit of its own. When no more may wait, the oldest item of the longest
//! line makes room: it is its own sender's. Where every line has one item, whoever comes is refused. No clock, no lock.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// Whose turn it is, line by line.
#[derive(Debug)]
pub(crate) struct FairQueue<S, T> {
    capacity: usize,
    len: usize,
    lines: HashMap<S, VecDeque<T>>,
    /// The sources with something in line, in the order of their turns; those that go first apart.
    turns: [VecDeque<S>; 2],
}

/// Who waits, and whether they go before the others.
pub(crate) trait Source: Clone + Eq + Hash {
    fn goes_first(&self) -> bool;
}

impl<S: Source, T> FairQueue<S, T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, len: 0, lines: HashMap::new(), turns: [VecDeque::new(), VecDeque::new()] }
    }

    /// Puts `item` at the end of its source's line. Dropping what comes back tells its sender that it will not be done:
    /// the item itself, or an older one that made room for it.
    pub(crate) fn push(&mut self, source: S, item: T) -> Option<T> {
        let mut dropped = None;
        if self.len >= self.capacity {
            match self.take_from_the_longest(&source) {
                None => return Some(item),
                made_room => dropped = made_room,
            }
        }
        let line = self.lines.entry(source.clone()).or_default();
        if line.is_empty() {
            self.turns[usize::from(!source.goes_first())].push_back(source);
        }
        line.push_back(item);
        self.len += 1;
        dropped
    }

    /// The next item in turn.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let first = self.turns.iter().position(|turns| !turns.is_empty())?;
        let source = self.turns[first].pop_front()?;
        let line = self.lines.get_mut(&source)?;
        let item = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&source);
        } else {
            self.turns[first].push_back(source);
        }
        self.len -= 1;
        item
    }

    /// Looks at all lines: it happens only while the queue is full, and a queue holds no more than it takes some seconds to
    /// work off. A source that goes first may take the place of any other.
    fn take_from_the_longest(&mut self, newcomer: &S) -> Option<T> {
        let others = self.lines.iter().filter(|(source, _)| !source.goes_first());
        let (longest, line) = others.max_by_key(|(_, line)| line.len())?;
        if line.len() < 2 && !newcomer.goes_first() {
            return None;
        }
        let longest = longest.clone();
        let line = self.lines.get_mut(&longest)?;
        let item = line.pop_front()?;
        if line.is_empty() {
            self.lines.remove(&longest);
            self.turns[1].retain(|source| *source != longest);
        }
        self.len -= 1;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    enum From {
        Friend,
        Stranger(u32),
    }

    impl Source for From {
        fn goes_first(&self) -> bool {
            matches!(self, Self::Friend)
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
        let dropped = queue.push(From::Friend, "mine");
        assert!(matches!(dropped, Some("a1" | "b1")), "{dropped:?}");
        let served = served(queue);
        assert_eq!((served.len(), served[0]), (2, "mine"));
    }

    #[test]
    fn a_source_that_comes_back_has_its_turn_again() {
        let mut queue = FairQueue::new(2);
        for item in ["one", "two", "three"] {
            assert_eq!(queue.push(From::Stranger(1), item), None);
            assert_eq!(queue.pop(), Some(item));
        }
        assert_eq!(queue.pop(), None);
        assert!(queue.lines.is_empty() && queue.turns.iter().all(VecDeque::is_empty));
    }
}
