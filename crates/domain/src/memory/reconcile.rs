//! Comparing the index with the rows, and mending both ways.
//!
//! The index can lose what it acknowledged (it was restored from an old snapshot), keep what was
//! removed (it was down then), or hold an entry under a wrong owner. A row whose entry is missing or
//! out of date is recorded as not indexed, so that it gets a job; an entry without a row is removed.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::time::Duration;

use super::indexer::{all_entries, remove_and_prove, without_row};
use super::{Indexed, IndexedMemory, IndexingError, Memory, Reindexer};
use crate::ids::MemoryId;
use crate::page::{PageRequest, Position};
use crate::privacy::{MemoryScope, RecallGrant};
use crate::store::{StoreError, repeat_aborted};

/// A memory that changed less than this ago has a job of its own, which may just be running.
const SETTLED_AFTER: Duration = Duration::from_mins(1);

/// Profiles compared in one step.
const SCOPES: u32 = 20;

/// Rows read in one go.
const ROWS: u32 = 200;

/// Entries of all users looked at in one step.
const OWNERS: usize = 500;

/// How far a round of comparing has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Place {
    /// At its beginning.
    #[default]
    Start,
    /// The profiles up to this one are compared.
    Profiles(MemoryScope),
    /// All profiles are compared; the entries up to this one have a profile.
    Owners(Option<MemoryId>),
    /// At its end.
    End,
}

/// What was found and mended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Profiles compared.
    pub profiles: u64,
    /// Memories that the index lacked, or had in an older version: each has a job now, or will get one.
    pub missing: u64,
    /// Entries without a row of that owner and profile; they are removed.
    pub orphans: u64,
}

impl AddAssign for Reconciled {
    fn add_assign(&mut self, other: Self) {
        self.profiles += other.profiles;
        self.missing += other.missing;
        self.orphans += other.orphans;
    }
}

/// What to do with rows whose entry is as it should be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Good {
    /// They are recorded so already.
    Leave,
    /// They are in an index that was just made: record it.
    Record,
}

impl Reindexer {
    /// Compares a bounded number of rows and entries, mends what differs, and tells where to go on.
    /// A round from [`Place::Start`] to [`Place::End`] sees everything; at its end, jobs are enqueued
    /// for what was missing, and those are forgotten that were given up and are moot now. Idempotent;
    /// any number of processes may do it at once.
    pub async fn reconcile(&self, place: Place) -> Result<(Place, Reconciled), IndexingError> {
        match place {
            Place::Start => self.profiles_after(None, Good::Leave).await,
            Place::Profiles(last) => self.profiles_after(Some(last), Good::Leave).await,
            Place::Owners(after) => {
                let (next, found) = self.owners_after(after).await?;
                if next == Place::End {
                    self.enqueue_missing().await?;
                    let with_vectors = self.embedder.is_some();
                    self.maintenance.forget_settled(with_vectors).await?;
                }
                Ok((next, found))
            }
            Place::End => Ok((Place::End, Reconciled::default())),
        }
    }

    /// After an index has taken the place of another one: records what it holds, and finds what changed
    /// while it was made.
    pub(super) async fn settle(&self) -> Result<Reconciled, IndexingError> {
        let mut found = Reconciled::default();
        let mut after = None;
        loop {
            let (next, more) = self.profiles_after(after, Good::Record).await?;
            found += more;
            match next {
                Place::Profiles(last) => after = Some(last),
                Place::Start | Place::Owners(_) | Place::End => return Ok(found),
            }
        }
    }

    async fn profiles_after(
        &self,
        after: Option<MemoryScope>,
        good: Good,
    ) -> Result<(Place, Reconciled), IndexingError> {
        let scopes = self.maintenance.scopes(after, SCOPES).await?;
        let mut found = Reconciled::default();
        for scope in &scopes {
            found += self.compare(*scope, good).await?;
        }
        let next = scopes
            .last()
            .map_or(Place::Owners(None), |last| Place::Profiles(*last));
        Ok((next, found))
    }

    /// Compares one profile. Entries first: each was written after its row, so that a later look at the
    /// rows finds it.
    async fn compare(&self, scope: MemoryScope, good: Good) -> Result<Reconciled, IndexingError> {
        let entries = all_entries(&*self.index, scope).await?;
        let mut left: BTreeMap<MemoryId, IndexedMemory> = entries
            .into_iter()
            .map(|entry| (entry.memory, entry))
            .collect();
        let mut found = Reconciled {
            profiles: 1,
            ..Reconciled::default()
        };
        let mut page = PageRequest::first(ROWS);
        loop {
            let mut work = self.store.read(scope.user).await?;
            let Some(profile) = work.profiles().find(scope.profile).await? else {
                break;
            };
            let grant = RecallGrant::by_owner(&profile.profile);
            let rows = work.memories().list(&grant, page).await?;
            drop(work);
            found.missing += self.judge(&rows.items, &mut left, good).await?;
            match rows.next {
                Some(cursor) => page.position = Position::After(cursor),
                None => break,
            }
        }
        let strangers: Vec<MemoryId> = left.into_keys().collect();
        let orphans = without_row(&*self.store, scope, &strangers).await?;
        remove_and_prove(&*self.index, scope, &orphans).await?;
        found.orphans = orphans.len() as u64;
        Ok(found)
    }

    /// Takes the entries of these rows out of `left` and records which rows lack theirs; how many.
    async fn judge(
        &self,
        rows: &[Memory],
        left: &mut BTreeMap<MemoryId, IndexedMemory>,
        good: Good,
    ) -> Result<u64, StoreError> {
        let settled = self.clock.now() - SETTLED_AFTER;
        let mut records = Vec::new();
        let mut missing = 0;
        for memory in rows {
            let held = left
                .remove(&memory.id)
                .filter(|e| e.version == memory.version);
            let held = match held {
                None => Indexed::Nothing,
                Some(entry) if entry.with_vector => Indexed::Vector,
                Some(_) => Indexed::Words,
            };
            let lacking =
                held == Indexed::Nothing || (held == Indexed::Words && self.embedder.is_some());
            if good == Good::Record {
                missing += u64::from(lacking);
                records.push((memory, held));
            } else if lacking && memory.updated_at <= settled {
                missing += 1;
                records.push((memory, held));
            }
        }
        if let Some((first, _)) = records.first() {
            repeat_aborted(|| async {
                let mut work = self.store.begin(first.scope.user).await?;
                for (memory, held) in &records {
                    work.memories().mark_indexed(memory, *held).await?;
                }
                work.commit().await
            })
            .await?;
        }
        Ok(missing)
    }

    /// Removes entries whose profile is gone: no profile of the rows leads to them.
    async fn owners_after(
        &self,
        after: Option<MemoryId>,
    ) -> Result<(Place, Reconciled), IndexingError> {
        let owners = self.index.owners(after, OWNERS).await?;
        let mut strewn: BTreeMap<_, (MemoryScope, Vec<MemoryId>)> = BTreeMap::new();
        for (memory, scope) in &owners {
            let key = (scope.user, scope.profile);
            strewn
                .entry(key)
                .or_insert((*scope, Vec::new()))
                .1
                .push(*memory);
        }
        let mut found = Reconciled::default();
        for (scope, memories) in strewn.into_values() {
            let mut work = self.store.read(scope.user).await?;
            if work.profiles().find(scope.profile).await?.is_none() {
                self.index.remove(scope, None).await?;
                found.orphans += memories.len() as u64;
            }
        }
        let next = owners
            .last()
            .map_or(Place::End, |(last, _)| Place::Owners(Some(*last)));
        Ok((next, found))
    }
}
