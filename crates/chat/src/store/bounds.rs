//! Pages of history in SQL, for every database that is asked in it.

use crate::model::{PageFrom, PageQuery};

/// A number of an event as SQL counts: signed. No room reaches the end of either.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How a page is asked for in SQL: strictly between two numbers, in one direction, and one row more than wanted, to know
/// whether there are more.
pub(super) struct Bounds {
    pub(super) above: i64,
    pub(super) below: i64,
    wanted: usize,
    descending: bool,
}

impl Bounds {
    pub(super) fn of(page: PageQuery) -> Self {
        let wanted = page.limit as usize;
        match page.from {
            PageFrom::End => Self { above: 0, below: i64::MAX, wanted, descending: true },
            PageFrom::Before(number) => Self { above: 0, below: signed(number), wanted, descending: true },
            PageFrom::After(number) => Self { above: signed(number), below: i64::MAX, wanted, descending: false },
        }
    }

    pub(super) fn rows(&self) -> i64 {
        i64::try_from(self.wanted).unwrap_or(i64::MAX).saturating_add(1)
    }

    pub(super) fn order(&self) -> &'static str {
        if self.descending { "DESC" } else { "ASC" }
    }

    /// Takes the row too many off again and puts the rest into ascending order.
    pub(super) fn finish<T>(&self, mut rows: Vec<T>) -> (Vec<T>, bool) {
        let more = rows.len() > self.wanted;
        rows.truncate(self.wanted);
        if self.descending {
            rows.reverse();
        }
        (rows, more)
    }
}
