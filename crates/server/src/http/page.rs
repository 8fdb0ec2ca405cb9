//! Pages of what has numbers: which one is asked for, and what of it fits into an answer.

use super::problem::Problem;
use crate::limits::{PAGE_BYTES_MAX, PAGE_DEFAULT, PAGE_MAX};
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tidings_chat::PageFrom;
use utoipa::IntoParams;

/// Which page: the newest entries, or those before or after a number.
#[derive(Deserialize, IntoParams)]
pub(super) struct PageQuery {
    /// Only entries with a lower number.
    before: Option<u64>,
    /// Only entries with a higher number.
    after: Option<u64>,
    /// At most so many, 1 to 200; and fewer where they would take more than 512 KiB.
    limit: Option<u32>,
}

impl PageQuery {
    pub(super) fn page(&self) -> Result<tidings_chat::PageQuery, Problem> {
        let from = match (self.before, self.after) {
            (None, None) => PageFrom::End,
            (Some(before), None) => PageFrom::Before(before),
            (None, Some(after)) => PageFrom::After(after),
            (Some(_), Some(_)) => {
                return Err(Problem::field("before", "page_ambiguous", "Give either before or after, not both."));
            }
        };
        let limit = self.limit.unwrap_or(PAGE_DEFAULT);
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(Problem::field("limit", "limit_out_of_range", format!("The limit is 1 to {PAGE_MAX}.")));
        }
        Ok(tidings_chat::PageQuery { from, limit })
    }
}

/// The entries of a page as they are written, as far as they fit into [`PAGE_BYTES_MAX`] from where the page begins, but
/// always one; and whether all did.
pub(super) fn fitting<T: Serialize>(entries: &[T], from: PageFrom) -> Result<(Vec<Box<RawValue>>, bool), Problem> {
    let forwards = matches!(from, PageFrom::After(_));
    let mut in_order: Box<dyn Iterator<Item = &T>> =
        if forwards { Box::new(entries.iter()) } else { Box::new(entries.iter().rev()) };
    let (mut written, mut bytes): (Vec<Box<RawValue>>, usize) = (Vec::with_capacity(entries.len()), 0);
    let all_fit = loop {
        let Some(entry) = in_order.next() else { break true };
        let entry = to_raw_value(entry).map_err(|error| Problem::internal(&error))?;
        bytes += entry.get().len() + 1;
        if bytes > PAGE_BYTES_MAX && !written.is_empty() {
            break false;
        }
        written.push(entry);
    };
    if !forwards {
        written.reverse();
    }
    Ok((written, all_fit))
}

impl From<QueryRejection> for Problem {
    fn from(error: QueryRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", format!("The query is not what is expected here: {error}."))
    }
}
