//! Pages of long lists.

use uuid::Uuid;

/// Where a page starts. `Offset` is what old clients send; `After` stays right while rows change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Skip this many items.
    Offset(u64),
    /// Start behind this item.
    After(Cursor),
}

/// The sort key of the last item of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// What the list is ordered by: microseconds since 1970, or a message's place in its session.
    pub key: i64,
    /// Breaks ties.
    pub id: Uuid,
}

/// How many items, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// At most this many items, at least 1.
    pub limit: u32,
    /// Where the page starts.
    pub position: Position,
}

impl PageRequest {
    /// The first `limit` items.
    pub fn first(limit: u32) -> Self {
        Self {
            limit,
            position: Position::Offset(0),
        }
    }
}

/// Some items of a list, in the list's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page starts; `None` on the last one.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page of rows that were asked for with a limit of `limit + 1`: the extra row only
    /// tells that there is more.
    pub fn cut(mut rows: Vec<T>, limit: u32, key: impl Fn(&T) -> Cursor) -> Self {
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = if more { rows.last().map(key) } else { None };
        Self { items: rows, next }
    }

    /// The same page with every item changed by `f`.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(f).collect(),
            next: self.next,
        }
    }
}
