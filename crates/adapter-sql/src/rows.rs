//! From rows to values and back: times, numbers and words.

use domain::page::{Cursor, PageRequest, Position};
use domain::store::StoreError;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use time::OffsetDateTime;
use uuid::Uuid;

/// A table whose rows are being read; it names itself when a value in it makes no sense.
#[derive(Clone, Copy)]
pub(crate) struct Table(pub(crate) &'static str);

impl Table {
    /// The value of a column; [`StoreError::Inconsistent`] when it is none.
    pub(crate) fn value<T>(self, column: &'static str, parsed: Option<T>) -> Result<T, StoreError> {
        parsed.ok_or(StoreError::Inconsistent {
            table: self.0,
            column,
        })
    }

    /// A time that is stored as microseconds.
    pub(crate) fn time(
        self,
        column: &'static str,
        micros: i64,
    ) -> Result<OffsetDateTime, StoreError> {
        let nanos = i128::from(micros) * 1000;
        self.value(
            column,
            OffsetDateTime::from_unix_timestamp_nanos(nanos).ok(),
        )
    }

    /// A time that may be missing.
    pub(crate) fn time_opt(
        self,
        column: &'static str,
        micros: Option<i64>,
    ) -> Result<Option<OffsetDateTime>, StoreError> {
        micros.map(|micros| self.time(column, micros)).transpose()
    }

    /// A small number.
    pub(crate) fn number(self, column: &'static str, number: i64) -> Result<u32, StoreError> {
        self.value(column, u32::try_from(number).ok())
    }
}

/// A time as it is stored: microseconds since 1970. Every year that can be written fits.
pub(crate) fn micros(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX)
}

/// What SQL counted; never negative.
pub(crate) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A number of rows to skip, as far as a database can count.
pub(crate) fn offset(rows: u64) -> u64 {
    Ord::min(rows, i64::MAX.unsigned_abs())
}

/// A page of rows with the largest `key` first, ties by `id`, with one row more than asked for, so
/// that [`domain::page::Page::cut`] can tell whether there is another page.
pub(crate) fn newest_first<E: EntityTrait>(
    query: Select<E>,
    key: E::Column,
    id: E::Column,
    page: PageRequest,
) -> Select<E> {
    let query = query
        .order_by_desc(key)
        .order_by_desc(id)
        .limit(u64::from(page.limit) + 1);
    match page.position {
        Position::Offset(rows) => query.offset(offset(rows)),
        Position::After(Cursor {
            key: last,
            id: last_id,
        }) => {
            let place = Expr::tuple([key.into_expr(), id.into_expr()]);
            query.filter(place.lt(Expr::tuple([Expr::value(last), Expr::value(last_id)])))
        }
    }
}

/// The bare identifiers.
pub(crate) fn uuids<T: Copy + Into<Uuid>>(ids: &[T]) -> Vec<Uuid> {
    ids.iter().map(|id| (*id).into()).collect()
}
