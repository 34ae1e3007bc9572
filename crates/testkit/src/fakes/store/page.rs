//! Pages of rows.

use domain::page::{Cursor, Page, PageRequest, Position};
use time::OffsetDateTime;
use uuid::Uuid;

/// Which way a list runs along its keys.
#[derive(Clone, Copy)]
pub(super) enum Order {
    Ascending,
    Descending,
}

/// Sorts by the cursor's key and cuts the page out.
pub(super) fn page<T>(
    mut rows: Vec<T>,
    order: Order,
    request: PageRequest,
    cursor: impl Fn(&T) -> Cursor,
) -> Page<T> {
    let key = |cursor: Cursor| (cursor.key, cursor.id);
    rows.sort_by_key(|row| key(cursor(row)));
    if matches!(order, Order::Descending) {
        rows.reverse();
    }
    let start = match request.position {
        Position::Offset(offset) => usize::try_from(offset).unwrap_or(usize::MAX),
        Position::After(end) => rows.partition_point(|row| match order {
            Order::Ascending => key(cursor(row)) <= key(end),
            Order::Descending => key(cursor(row)) >= key(end),
        }),
    };
    let rows = rows
        .into_iter()
        .skip(start)
        .take(request.limit as usize + 1)
        .collect();
    Page::cut(rows, request.limit, cursor)
}

/// The cursor of a list that is ordered by time.
pub(super) fn by_time(at: OffsetDateTime, id: Uuid) -> Cursor {
    let micros = at.unix_timestamp_nanos() / 1000;
    Cursor {
        key: i64::try_from(micros).expect("a time of this era"),
        id,
    }
}
