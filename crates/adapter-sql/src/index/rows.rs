//! The index as rows, and the form of their bytes.

use domain::ids::{MemoryId, ProfileId, UserId};
use domain::memory::{EmbeddingSpace, IndexEntry, IndexedMemory, TermCount};
use domain::privacy::MemoryScope;
use domain::store::StoreError;
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, ExecResult, QueryResult, Statement, TransactionOptions, Value};
use uuid::Uuid;

use crate::bounded::Transaction;
use crate::error::store_error;
use crate::rows::{Table, uuids};
use crate::store::SqlStore;

const VECTORS: Table = Table("memory_vectors");

const OWNERS: &str = "select memory_id, user_id, profile_id from memory_vectors \
    where memory_id > $1 order by memory_id limit $2";

/// What a search must know before it starts.
pub(super) struct Head {
    /// The space of the vectors, if one is recorded.
    pub(super) space: Option<EmbeddingSpace>,
    /// Raised by each write into the scope; 0 before the first.
    pub(super) revision: i64,
}

/// An entry as it is stored.
pub(super) struct StoredEntry {
    pub(super) memory: MemoryId,
    pub(super) vector: Option<Vec<u8>>,
    pub(super) terms: Vec<u8>,
}

fn statement<C: ConnectionTrait>(db: &C, sql: &str, values: Vec<Value>) -> Statement {
    Statement::from_sql_and_values(db.get_database_backend(), sql, values)
}

async fn execute<C: ConnectionTrait>(
    db: &C,
    sql: &str,
    values: Vec<Value>,
) -> Result<ExecResult, StoreError> {
    db.execute_raw(statement(db, sql, values))
        .await
        .map_err(store_error)
}

fn of(scope: MemoryScope) -> Vec<Value> {
    vec![scope.user.as_uuid().into(), scope.profile.as_uuid().into()]
}

/// Space and revision in one statement: a search on a warm profile asks no other.
pub(super) async fn head<C: ConnectionTrait>(
    db: &C,
    scope: MemoryScope,
) -> Result<Head, StoreError> {
    let sql = "select s.model, s.dimension, r.revision from (select 1 as one) as one \
               left join index_space s on s.id = 1 \
               left join index_revisions r on r.user_id = $1 and r.profile_id = $2";
    let row = db
        .query_one_raw(statement(db, sql, of(scope)))
        .await
        .map_err(store_error)?;
    let Some(row) = row else {
        return Ok(Head {
            space: None,
            revision: 0,
        });
    };
    let revision: Option<i64> = row.try_get_by_index(2).map_err(store_error)?;
    Ok(Head {
        space: space_of(&row)?,
        revision: revision.unwrap_or(0),
    })
}

/// The recorded space.
pub(super) async fn space<C: ConnectionTrait>(
    db: &C,
) -> Result<Option<EmbeddingSpace>, StoreError> {
    let sql = "select model, dimension from index_space where id = 1";
    let row = db
        .query_one_raw(statement(db, sql, Vec::new()))
        .await
        .map_err(store_error)?;
    row.as_ref().map_or(Ok(None), space_of)
}

fn space_of(row: &QueryResult) -> Result<Option<EmbeddingSpace>, StoreError> {
    let model: Option<String> = row.try_get_by_index(0).map_err(store_error)?;
    let dimension: Option<i64> = row.try_get_by_index(1).map_err(store_error)?;
    let Some((model, dimension)) = model.zip(dimension) else {
        return Ok(None);
    };
    let dimension = Table("index_space").value("dimension", usize::try_from(dimension).ok())?;
    Ok(Some(EmbeddingSpace { model, dimension }))
}

/// Records the space if none is; answers with the one that is recorded then.
pub(super) async fn record_space<C: ConnectionTrait>(
    db: &C,
    space: &EmbeddingSpace,
) -> Result<EmbeddingSpace, StoreError> {
    let dimension = dimension_of(space)?;
    let sql = "insert into index_space (id, model, dimension) values (1, $1, $2) \
               on conflict (id) do nothing";
    execute(db, sql, vec![space.model.as_str().into(), dimension.into()]).await?;
    Ok(self::space(db).await?.unwrap_or_else(|| space.clone()))
}

impl SqlStore {
    /// Begins a transaction in which the index of everybody is empty and has this space, or none.
    pub(super) async fn begin_anew(
        &self,
        space: Option<&EmbeddingSpace>,
    ) -> Result<Transaction, StoreError> {
        if self.is_postgres() {
            let model = space.map(|space| space.model.clone());
            let dimension = space.map(dimension_of).transpose()?;
            let values = vec![model.into(), dimension.into()];
            let tx = self.writer.begin(TransactionOptions::default()).await?;
            execute(&tx, "select clear_index($1, $2)", values).await?;
            return Ok(tx);
        }
        let tx = self.begin_write(None).await?;
        for sql in [
            "delete from memory_vectors",
            "delete from index_space",
            "update index_revisions set revision = revision + 1",
        ] {
            execute(&tx, sql, Vec::new()).await?;
        }
        if let Some(space) = space {
            record_space(&tx, space).await?;
        }
        Ok(tx)
    }

    /// Where the entries of all users lie, in the order of their ids.
    pub(super) async fn index_owners(
        &self,
        after: Option<MemoryId>,
        limit: usize,
    ) -> Result<Vec<(MemoryId, MemoryScope)>, StoreError> {
        let after = after.map_or(Uuid::nil(), MemoryId::as_uuid);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let door = "select * from list_index_owners($1, $2)";
        let values = [after.into(), limit.into()];
        let owners = self.past_owners(OWNERS, door, values);
        let rows = self.readers.query_all_raw(owners).await;
        let owner = |row: &QueryResult| {
            let id = |n: usize| row.try_get_by_index::<Uuid>(n).map_err(store_error);
            let scope = MemoryScope {
                user: UserId::new(id(1)?),
                profile: ProfileId::new(id(2)?),
            };
            Ok((MemoryId::new(id(0)?), scope))
        };
        rows.map_err(store_error)?.iter().map(owner).collect()
    }
}

fn dimension_of(space: &EmbeddingSpace) -> Result<i64, StoreError> {
    Table("index_space").value("dimension", i64::try_from(space.dimension).ok())
}

/// Raises the scope's revision, and so makes other writers of the scope wait; `None` when the profile
/// is gone.
pub(super) async fn next_revision<C: ConnectionTrait>(
    db: &C,
    scope: MemoryScope,
) -> Result<Option<i64>, StoreError> {
    let sql = "insert into index_revisions (user_id, profile_id, revision) \
               select p.user_id, p.id, 1 from memory_profiles p where p.user_id = $1 and p.id = $2 \
               on conflict (user_id, profile_id) \
               do update set revision = index_revisions.revision + 1 returning revision";
    let row = db
        .query_one_raw(statement(db, sql, of(scope)))
        .await
        .map_err(store_error)?;
    row.map(|row| row.try_get_by_index(0))
        .transpose()
        .map_err(store_error)
}

/// Stores an entry, if the scope has the memory.
pub(super) async fn put<C: ConnectionTrait>(
    db: &C,
    scope: MemoryScope,
    entry: &IndexEntry,
    revision: i64,
) -> Result<bool, StoreError> {
    let sql = "insert into memory_vectors \
                   (memory_id, user_id, profile_id, vector, terms, length, revision, version) \
               select m.id, m.user_id, m.profile_id, $4, $5, $6, $7, $8 from memories m \
               where m.user_id = $1 and m.profile_id = $2 and m.id = $3 \
               on conflict (memory_id) do update set vector = excluded.vector, \
                   terms = excluded.terms, length = excluded.length, \
                   revision = excluded.revision, version = excluded.version";
    let vector = entry
        .embedding
        .as_ref()
        .map(|embedding| bytes_of(embedding.values()));
    let mut values = of(scope);
    values.extend([
        entry.memory.as_uuid().into(),
        vector.into(),
        bytes_of_terms(entry.terms.counts()).into(),
        i64::from(entry.terms.length()).into(),
        revision.into(),
        i64::from(entry.version).into(),
    ]);
    Ok(execute(db, sql, values).await?.rows_affected() > 0)
}

/// Removes entries of the scope, or all of it.
pub(super) async fn delete<C: ConnectionTrait>(
    db: &C,
    scope: MemoryScope,
    memories: Option<&[MemoryId]>,
) -> Result<(), StoreError> {
    let mut delete = Query::delete();
    delete
        .from_table("memory_vectors")
        .and_where(Expr::col("user_id").eq(scope.user.as_uuid()))
        .and_where(Expr::col("profile_id").eq(scope.profile.as_uuid()));
    if let Some(memories) = memories {
        delete.and_where(Expr::col("memory_id").is_in(uuids(memories)));
    }
    db.execute(&delete).await.map(|_| ()).map_err(store_error)
}

/// The entries of the scope after `after`, in the order of their ids.
pub(super) async fn page<C: ConnectionTrait>(
    db: &C,
    scope: MemoryScope,
    after: Option<MemoryId>,
    limit: usize,
) -> Result<Vec<IndexedMemory>, StoreError> {
    let mut select = Query::select();
    select
        .column("memory_id")
        .column("version")
        .expr(Expr::col("vector").is_not_null())
        .from("memory_vectors")
        .and_where(Expr::col("user_id").eq(scope.user.as_uuid()))
        .and_where(Expr::col("profile_id").eq(scope.profile.as_uuid()));
    let rows = after_in_order(db, &mut select, after, limit).await?;
    let indexed = |row: &QueryResult| {
        let version: i64 = row.try_get_by_index(1).map_err(store_error)?;
        Ok(IndexedMemory {
            memory: MemoryId::new(row.try_get_by_index(0).map_err(store_error)?),
            version: VECTORS.value("version", u32::try_from(version).ok())?,
            with_vector: row.try_get_by_index(2).map_err(store_error)?,
        })
    };
    rows.iter().map(indexed).collect()
}

async fn after_in_order<C: ConnectionTrait>(
    db: &C,
    select: &mut SelectStatement,
    after: Option<MemoryId>,
    limit: usize,
) -> Result<Vec<QueryResult>, StoreError> {
    if let Some(after) = after {
        select.and_where(Expr::col("memory_id").gt(after.as_uuid()));
    }
    select
        .order_by("memory_id", Order::Asc)
        .limit(u64::try_from(limit).unwrap_or(u64::MAX));
    db.query_all(select).await.map_err(store_error)
}

/// How many entries the scope has.
pub(super) async fn count<C: ConnectionTrait>(
    db: &C,
    scope: MemoryScope,
) -> Result<usize, StoreError> {
    let sql = "select count(*) from memory_vectors where user_id = $1 and profile_id = $2";
    let row = db
        .query_one_raw(statement(db, sql, of(scope)))
        .await
        .map_err(store_error)?;
    let count: Option<i64> = row
        .map(|row| row.try_get_by_index(0))
        .transpose()
        .map_err(store_error)?;
    Ok(usize::try_from(count.unwrap_or(0)).unwrap_or(0))
}

/// All entries of the scope, still undecoded: that is work for another thread.
pub(super) async fn all<C: ConnectionTrait>(
    db: &C,
    scope: MemoryScope,
) -> Result<Vec<QueryResult>, StoreError> {
    let sql = "select memory_id, vector, terms from memory_vectors \
               where user_id = $1 and profile_id = $2";
    db.query_all_raw(statement(db, sql, of(scope)))
        .await
        .map_err(store_error)
}

/// The entries of the scope that were written after this revision.
pub(super) async fn since<C: ConnectionTrait>(
    db: &C,
    scope: MemoryScope,
    revision: i64,
) -> Result<Vec<StoredEntry>, StoreError> {
    let sql = "select memory_id, vector, terms from memory_vectors \
               where user_id = $1 and profile_id = $2 and revision > $3";
    let mut values = of(scope);
    values.push(revision.into());
    let rows = db
        .query_all_raw(statement(db, sql, values))
        .await
        .map_err(store_error)?;
    rows.iter().map(StoredEntry::read).collect()
}

impl StoredEntry {
    /// Reads a row of [`all`].
    pub(super) fn read(row: &QueryResult) -> Result<Self, StoreError> {
        Ok(Self {
            memory: MemoryId::new(row.try_get_by_index(0).map_err(store_error)?),
            vector: row.try_get_by_index(1).map_err(store_error)?,
            terms: row.try_get_by_index(2).map_err(store_error)?,
        })
    }

    /// Its numbers; none where there is no vector.
    pub(super) fn numbers(&self) -> Result<Vec<f32>, StoreError> {
        let (numbers, rest) = self.vector.as_deref().unwrap_or_default().as_chunks();
        VECTORS.value("vector", rest.is_empty().then_some(()))?;
        Ok(numbers
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect())
    }

    /// Its words.
    pub(super) fn words(&self) -> Result<Vec<TermCount>, StoreError> {
        let (words, rest) = self.terms.as_chunks::<8>();
        VECTORS.value("terms", rest.is_empty().then_some(()))?;
        let word = |[a, b, c, d, e, f, g, h]: &[u8; 8]| TermCount {
            term: u32::from_le_bytes([*a, *b, *c, *d]),
            count: u32::from_le_bytes([*e, *f, *g, *h]),
        };
        Ok(words.iter().map(word).collect())
    }
}

fn bytes_of(numbers: &[f32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

fn bytes_of_terms(terms: &[TermCount]) -> Vec<u8> {
    let word = |word: &TermCount| [word.term.to_le_bytes(), word.count.to_le_bytes()];
    terms.iter().flat_map(word).flatten().collect()
}
