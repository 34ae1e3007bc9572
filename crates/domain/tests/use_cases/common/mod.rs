//! A whole MemoryChat over fakes, and the few things that most tests do with it.

mod ports;
mod probes;

use std::ops::Deref;

use domain::account::AccountService;
use domain::chat::{
    ChatError, Question, TurnEvent, TurnOutcome, TurnService, TurnStart, TurnStream,
};
use domain::clock::Clock;
use domain::ids::{MemoryId, ProfileId, SessionId, UserId};
use domain::jobs::{JobOutcome, JobRunner};
use domain::memory::{MemoryIndex, MemoryService, Reindexer};
use domain::page::PageRequest;
use domain::privacy::PrivacyMode;
use domain::profile::{Profile, ProfileService};
use domain::session::{Message, NewSession, SessionChange, SessionService};
use futures::StreamExt;
use testkit::seed;
use time::OffsetDateTime;

pub(crate) use ports::{Ports, Setup};
pub(crate) use probes::ProbedEmbedder;

/// Every service, wired over fakes; the fakes are reached through it too.
pub(crate) struct World {
    ports: Ports,
    pub(crate) accounts: AccountService,
    pub(crate) profiles: ProfileService,
    pub(crate) sessions: SessionService,
    pub(crate) turns: TurnService,
    pub(crate) memories: MemoryService,
    pub(crate) runner: JobRunner,
    pub(crate) reindexer: Reindexer,
}

impl Deref for World {
    type Target = Ports;

    fn deref(&self) -> &Ports {
        &self.ports
    }
}

/// A turn from its start to its end.
pub(crate) struct Told {
    pub(crate) start: TurnStart,
    pub(crate) words: String,
    pub(crate) end: Result<TurnOutcome, ChatError>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Setup::default())
    }

    pub(crate) fn with(setup: Setup) -> Self {
        let ports = Ports::new(&setup);
        Self {
            accounts: ports.accounts(),
            profiles: ports.profiles(),
            sessions: ports.sessions(),
            turns: ports.turns(setup.turns),
            memories: ports.memories(),
            runner: ports.runner(setup.policy),
            reindexer: ports.reindexer(ports.used_embedder.clone()),
            ports,
        }
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// A user with a default profile.
    pub(crate) async fn user(&self) -> (UserId, Profile) {
        let (user, profile) = seed::user_with_profile(&*self.store).await;
        (user.id, profile)
    }

    /// A session of the default profile, or without one where the mode takes none.
    pub(crate) async fn session(&self, user: UserId, mode: PrivacyMode) -> SessionId {
        let new = NewSession {
            mode,
            profile: None,
        };
        self.sessions.create(user, new).await.unwrap().session.id
    }

    pub(crate) async fn switch(&self, user: UserId, session: SessionId, mode: PrivacyMode) {
        let change = SessionChange {
            mode: Some(mode),
            ..SessionChange::default()
        };
        self.sessions.update(user, session, change).await.unwrap();
    }

    /// Starts a turn.
    pub(crate) async fn ask(
        &self,
        user: UserId,
        session: SessionId,
        text: &str,
    ) -> Result<TurnStream, ChatError> {
        self.pose(user, session, Question::new(text.to_owned())?)
            .await
    }

    /// Starts a turn with all that a question may say.
    pub(crate) async fn pose(
        &self,
        user: UserId,
        session: SessionId,
        question: Question,
    ) -> Result<TurnStream, ChatError> {
        self.turns.stream(user, session, question).await
    }

    /// A whole turn; it must not be refused.
    pub(crate) async fn say(&self, user: UserId, session: SessionId, text: &str) -> Told {
        Told::from(self.ask(user, session, text).await.unwrap()).await
    }

    /// Runs every job that is due.
    pub(crate) async fn run_jobs(&self) -> Vec<JobOutcome> {
        let mut outcomes = Vec::new();
        while let Some(outcome) = self.runner.run_next().await.unwrap() {
            outcomes.push(outcome);
        }
        outcomes
    }

    /// The stored messages of a session, oldest first.
    pub(crate) async fn stored(&self, user: UserId, session: SessionId) -> Vec<Message> {
        self.sessions
            .messages(user, session, PageRequest::first(100))
            .await
            .unwrap()
            .items
    }

    /// The texts of a profile's rows; none once it is deleted.
    pub(crate) async fn memories_of(&self, profile: &Profile) -> Vec<String> {
        let page = PageRequest::first(100);
        let listed = self.memories.list(profile.user(), profile.id(), page).await;
        let items = listed.map(|page| page.items).unwrap_or_default();
        items
            .iter()
            .map(|memory| memory.content.as_str().to_owned())
            .collect()
    }

    /// The memories of which the index holds an entry.
    pub(crate) async fn entries(&self, profile: &Profile) -> Vec<MemoryId> {
        let entries = self.index.entries(profile.scope(), None, 1000).await;
        entries.unwrap().iter().map(|entry| entry.memory).collect()
    }

    /// What a search finds, best first.
    pub(crate) async fn found(&self, profile: &Profile, query: &str) -> Vec<String> {
        let result = self
            .memories
            .search(profile.user(), profile.id(), query, 10)
            .await
            .unwrap();
        let texts = result
            .memories
            .iter()
            .map(|found| found.memory.content.as_str().to_owned());
        texts.collect()
    }

    pub(crate) async fn default_profiles(&self, user: UserId) -> Vec<ProfileId> {
        let all = self
            .profiles
            .list(user)
            .await
            .unwrap()
            .into_iter()
            .map(|view| view.profile);
        all.filter(Profile::is_default)
            .map(|profile| profile.id())
            .collect()
    }

    /// The contents of the last prompt, the system's first.
    pub(crate) fn last_prompt(&self) -> Vec<String> {
        let prompt = self.model.prompts().pop().unwrap();
        prompt
            .messages
            .into_iter()
            .map(|message| message.content)
            .collect()
    }
}

/// A question without a name.
pub(crate) fn question(text: &str) -> Question {
    Question::new(text.to_owned()).unwrap()
}

impl Told {
    /// Drives a turn to its end.
    pub(crate) async fn from(mut turn: TurnStream) -> Self {
        let Some(TurnEvent::Started(start)) = turn.events.next().await else {
            panic!("a turn begins with its start")
        };
        let mut words = String::new();
        let end = loop {
            match turn.events.next().await.unwrap() {
                TurnEvent::Started(_) => panic!("a turn starts once"),
                TurnEvent::Delta(delta) => words.push_str(&delta),
                TurnEvent::Completed(outcome) => break Ok(*outcome),
                TurnEvent::Failed(error) => break Err(error),
            }
        };
        assert!(
            turn.events.next().await.is_none(),
            "nothing follows the end"
        );
        Self {
            start: *start,
            words,
            end,
        }
    }
}
