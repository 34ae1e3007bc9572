//! Memories.

use async_trait::async_trait;
use domain::ids::MemoryId;
use domain::memory::{Indexed, Memory, MemoryRepository, Stored};
use domain::page::{Page, PageRequest};
use domain::privacy::{LearnGrant, MemoryScope, PrivacyMode, RecallGrant};
use domain::session::DrawnFrom;
use domain::store::StoreError;

use super::Unit;
use super::page::{Order, by_time, page};
use super::state::MemoryRow;

impl Unit {
    /// The memories of a scope; none of a scope of somebody else's.
    fn memories_in(&self, scope: MemoryScope) -> impl Iterator<Item = &Memory> {
        let own = scope.user == self.owner;
        let memories = self.state.memories.iter().map(|row| &row.memory);
        memories.filter(move |memory| own && memory.scope == scope)
    }

    /// Another memory of the scope that says the same.
    fn twin(&self, memory: &Memory) -> Option<MemoryId> {
        let print = memory.content.fingerprint();
        let mut others = self
            .memories_in(memory.scope)
            .filter(|other| other.id != memory.id);
        others
            .find(|other| other.content.fingerprint() == print)
            .map(|other| other.id)
    }

    /// Is it drawn from nothing, or from a message that may be learned from?
    fn has_sound_source(&self, memory: &Memory) -> bool {
        memory.source.is_none_or(|source| {
            self.state
                .message(self.owner, source.message)
                .is_some_and(|message| {
                    message.session == source.session && message.stamp == PrivacyMode::Normal
                })
        })
    }
}

#[async_trait]
impl MemoryRepository for Unit {
    async fn add(&mut self, grant: &LearnGrant, memory: &Memory) -> Result<Stored, StoreError> {
        let scope = grant.scope();
        let own = scope.user == self.owner && memory.scope == scope;
        if !own || !self.state.owns_profile(self.owner, scope.profile) {
            return self.conflict("reference");
        }
        if !self.has_sound_source(memory) {
            return self.conflict("reference");
        }
        if let Some(known) = self.twin(memory) {
            return Ok(Stored::Known(known));
        }
        self.state.memories.push(MemoryRow {
            memory: memory.clone(),
            indexed: None,
        });
        Ok(Stored::Added)
    }

    async fn find(
        &mut self,
        grant: &RecallGrant,
        ids: &[MemoryId],
    ) -> Result<Vec<Memory>, StoreError> {
        let find = |id: &MemoryId| {
            self.memories_in(grant.scope())
                .find(|m| m.id == *id)
                .cloned()
        };
        Ok(ids.iter().filter_map(find).collect())
    }

    async fn list(
        &mut self,
        grant: &RecallGrant,
        request: PageRequest,
    ) -> Result<Page<Memory>, StoreError> {
        let memories = self.memories_in(grant.scope()).cloned().collect();
        Ok(page(memories, Order::Descending, request, |memory| {
            by_time(memory.created_at, memory.id.as_uuid())
        }))
    }

    async fn update(&mut self, grant: &LearnGrant, memory: &Memory) -> Result<bool, StoreError> {
        let stored = self
            .memories_in(grant.scope())
            .find(|stored| stored.id == memory.id);
        let Some(scope) = stored.map(|stored| stored.scope) else {
            return Ok(false);
        };
        if stored.is_none_or(|stored| stored.version + 1 != memory.version) {
            return Ok(false);
        }
        if self
            .twin(&Memory {
                scope,
                ..memory.clone()
            })
            .is_some()
        {
            return self.conflict("memory");
        }
        for row in self
            .state
            .memories
            .iter_mut()
            .filter(|row| row.memory.id == memory.id)
        {
            row.memory.content = memory.content.clone();
            row.memory.version = memory.version;
            row.memory.updated_at = memory.updated_at;
        }
        Ok(true)
    }

    async fn remove(
        &mut self,
        scope: MemoryScope,
        ids: Option<&[MemoryId]>,
    ) -> Result<Vec<MemoryId>, StoreError> {
        let own = scope.user == self.owner;
        let gone = self.state.remove_memories(|memory| {
            own && memory.scope == scope && ids.is_none_or(|ids| ids.contains(&memory.id))
        });
        Ok(gone.into_iter().map(|memory| memory.id).collect())
    }

    async fn remove_drawn(
        &mut self,
        from: DrawnFrom,
    ) -> Result<Vec<(MemoryScope, MemoryId)>, StoreError> {
        let owner = self.owner;
        let gone = self.state.remove_memories(|memory| {
            memory.scope.user == owner
                && memory.source.is_some_and(|source| match from {
                    DrawnFrom::Session(session) => source.session == session,
                    DrawnFrom::Message(message) => source.message == message,
                })
        });
        Ok(gone
            .into_iter()
            .map(|memory| (memory.scope, memory.id))
            .collect())
    }

    async fn find_for_index(&mut self, id: MemoryId) -> Result<Option<Memory>, StoreError> {
        Ok(self.state.memory(self.owner, id).cloned())
    }

    async fn mark_indexed(&mut self, memory: &Memory, held: Indexed) -> Result<(), StoreError> {
        let indexed = match held {
            Indexed::Nothing => None,
            Indexed::Words => Some((memory.version, false)),
            Indexed::Vector => Some((memory.version, true)),
        };
        let (owner, rows) = (self.owner, self.state.memories.iter_mut());
        let same = |row: &&mut MemoryRow| {
            row.memory.scope.user == owner
                && row.memory.id == memory.id
                && row.memory.version == memory.version
        };
        rows.filter(same).for_each(|row| row.indexed = indexed);
        Ok(())
    }
}
