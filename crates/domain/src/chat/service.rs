//! The turn, step by step.

use std::sync::Arc;

use futures::StreamExt;
use futures::lock::OwnedMutexGuard;
use time::Duration;

use super::prompt::{self, PromptParts};
use super::queue::SessionQueue;
use super::replay::{self, Earlier};
use super::{
    ChatError, ChatModel, ModelError, Prompt, Question, RecallNote, ReplyEvent, ReplyStream,
    TurnEvent, TurnOutcome, TurnStart, TurnStream,
};
use crate::clock::{Clock, IdGenerator};
use crate::ids::{SessionId, UserId};
use crate::jobs::WorkSignal;
use crate::memory::{Recalled, Recaller};
use crate::privacy::RecallGrant;
use crate::session::{
    FinishReason, Message, MessageStatus, ReplyInfo, Session, TokenUsage, TranscriptCache,
};
use crate::store::{Store, UnitOfWork, repeat_aborted};

/// How turns are made.
#[derive(Debug, Clone)]
pub struct TurnConfig {
    /// Who the assistant is.
    pub instructions: String,
    /// Memories recalled per turn.
    pub memories: usize,
    /// Messages of history per turn.
    pub history: u32,
    /// A growing answer is stored when this much is new ...
    pub flush_bytes: usize,
    /// ... or this time has passed.
    pub flush_every: Duration,
}

impl Default for TurnConfig {
    fn default() -> Self {
        Self {
            instructions: "You are a helpful assistant.".to_owned(),
            memories: 5,
            history: 10,
            flush_bytes: 2048,
            flush_every: Duration::SECOND,
        }
    }
}

/// Runs turns.
#[derive(Clone)]
pub struct TurnService {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) store: Arc<dyn Store>,
    pub(super) transcripts: Arc<dyn TranscriptCache>,
    pub(super) recaller: Arc<Recaller>,
    pub(super) model: Arc<dyn ChatModel>,
    pub(super) signal: Arc<dyn WorkSignal>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdGenerator>,
    pub(super) queue: SessionQueue,
    pub(super) config: TurnConfig,
}

/// A turn whose question is accepted. The mode in it holds for the whole turn.
pub(super) struct Turn {
    pub(super) session: Session,
    pub(super) question: Message,
    pub(super) answer: Message,
    pub(super) history: Vec<Message>,
    pub(super) memories_used: Option<u32>,
}

/// Where the turns of a session are kept.
pub(super) enum Kept {
    /// In the database, where the session is locked.
    InRows(Box<dyn UnitOfWork>),
    /// Elsewhere, as ephemeral turns; and the newest messages of the database from before.
    Apart(Vec<Message>),
}

/// What a question comes to.
enum Opened {
    /// A turn, and what was recalled for it.
    Turn(Box<Turn>, Vec<Recalled>, RecallNote),
    /// The turn that it came to before.
    Before(TurnStream),
}

impl TurnService {
    /// Wires the service.
    #[expect(
        clippy::too_many_arguments,
        reason = "one argument per port, named at the only call"
    )]
    pub fn new(
        store: Arc<dyn Store>,
        transcripts: Arc<dyn TranscriptCache>,
        recaller: Arc<Recaller>,
        model: Arc<dyn ChatModel>,
        signal: Arc<dyn WorkSignal>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        config: TurnConfig,
    ) -> Self {
        let queue = SessionQueue::default();
        let inner = Inner {
            store,
            transcripts,
            recaller,
            model,
            signal,
            clock,
            ids,
            queue,
            config,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Starts a turn: it resolves once the model has begun to answer, so that every refusal before that
    /// is an error here. The question is stored before the model is called and stays when the model
    /// refuses. Turns of one session wait for each other; where eight wait already, one more is
    /// [`ChatError::SessionBusy`].
    ///
    /// A question whose key was used before gives the answer that it was given; where no whole answer
    /// came, the model is asked again, and the question stays the one it was.
    pub async fn stream(
        &self,
        user: UserId,
        session: SessionId,
        question: Question,
    ) -> Result<TurnStream, ChatError> {
        let inner = Arc::clone(&self.inner);
        let place = inner.queue.enter(session).await?;
        let opened = repeat_aborted(|| inner.open(user, session, &question)).await?;
        let (mut turn, memories, recall) = match opened {
            Opened::Turn(turn, memories, recall) => (turn, memories, recall),
            Opened::Before(replay) => return Ok(replay),
        };
        let begun = match inner.prompt(&turn, &memories) {
            Ok((prompt, used)) => inner
                .model
                .stream(prompt.clone())
                .await
                .map(|reply| (reply, prompt, used)),
            Err(error) => Err(error),
        };
        let (reply, prompt, used) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                inner.withdraw(&turn).await;
                return Err(error.into());
            }
        };
        turn.memories_used =
            (recall != RecallNote::Off).then(|| u32::try_from(used).unwrap_or(u32::MAX));
        let start = TurnStart {
            session,
            mode: turn.question.stamp,
            question: turn.question.clone(),
            memories_used: used,
            memories: memories.into_iter().take(used).collect(),
            recall,
        };
        let survives_hangup = turn.question.stamp.persists();
        let events = inner.drive(place, *turn, start, reply, prompt).boxed();
        Ok(TurnStream {
            events,
            survives_hangup,
        })
    }
}

impl Inner {
    /// Loads the session, accepts the question in its mode, and recalls beside that.
    async fn open(
        &self,
        user: UserId,
        id: SessionId,
        question: &Question,
    ) -> Result<Opened, ChatError> {
        let mut work = self.store.begin(user).await?;
        let (session, mut kept) = match work.sessions().lock(id).await? {
            Some(session) if session.mode.persists() => (session, Kept::InRows(work)),
            // Nothing of the database is held from here on: incognito turns may be far away.
            Some(session) => {
                let before = work.messages().recent(id, self.config.history).await?;
                drop(work);
                (session, Kept::Apart(before))
            }
            None => {
                drop(work);
                let session = self.transcripts.find(user, id).await?;
                let session = session.ok_or(ChatError::SessionNotFound)?;
                (session, Kept::Apart(Vec::new()))
            }
        };
        let asked = match self.earlier(&mut kept, &session, question).await? {
            Earlier::Never => None,
            Earlier::Unanswered(asked) => Some(asked),
            Earlier::Answered(asked, answer) => {
                return Ok(Opened::Before(replay::answered(asked, answer)));
            }
        };
        let grant = session
            .scope()
            .and_then(|scope| RecallGrant::in_session(session.mode, scope));
        let recall = async {
            match &grant {
                Some(grant) => self.recall(grant, question).await,
                None => (Vec::new(), RecallNote::Off),
            }
        };
        let accept = self.accept(kept, session, question, asked);
        let (turn, (memories, note)) = futures::join!(accept, recall);
        Ok(Opened::Turn(Box::new(turn?), memories, note))
    }

    /// A failing recall does not fail the turn; it is reported in it.
    async fn recall(
        &self,
        grant: &RecallGrant,
        question: &Question,
    ) -> (Vec<Recalled>, RecallNote) {
        match self
            .recaller
            .recall(grant, question.as_str(), self.config.memories)
            .await
        {
            Ok(result) if result.words_only => (result.memories, RecallNote::WordsOnly),
            Ok(result) => (result.memories, RecallNote::Done),
            Err(_) => (Vec::new(), RecallNote::Failed),
        }
    }

    fn prompt(&self, turn: &Turn, memories: &[Recalled]) -> Result<(Prompt, usize), ModelError> {
        let parts = PromptParts {
            instructions: &self.config.instructions,
            memories,
            history: &turn.history,
            question: &turn.question.content,
        };
        prompt::build(&parts, self.model.limits(), |text| {
            self.model.count_tokens(text)
        })
    }

    fn drive(
        self: Arc<Self>,
        place: OwnedMutexGuard<()>,
        mut turn: Turn,
        start: TurnStart,
        mut reply: ReplyStream,
        prompt: Prompt,
    ) -> impl futures::Stream<Item = TurnEvent> + Send + 'static {
        async_stream::stream! {
            let _place = place;
            let mut flushed = (0, self.clock.now());
            yield TurnEvent::Started(Box::new(start));
            let failure = loop {
                match reply.next().await {
                    Some(Ok(ReplyEvent::Delta(delta))) => {
                        // A NUL cannot be stored everywhere and says nothing.
                        let delta = delta.replace('\0', "");
                        turn.answer.content.push_str(&delta);
                        self.flush(&turn, &mut flushed).await;
                        if !delta.is_empty() {
                            yield TurnEvent::Delta(delta);
                        }
                    }
                    Some(Ok(ReplyEvent::Finished { model, finish, usage })) => {
                        let usage = usage.unwrap_or_else(|| self.usage(&prompt, &turn.answer.content));
                        turn.answer.status = MessageStatus::Complete;
                        let memories_used = turn.memories_used;
                        turn.answer.reply = Some(ReplyInfo { model, usage, finish, memories_used });
                        match self.close(&turn).await {
                            Ok(learning) => {
                                let answer = turn.answer;
                                yield TurnEvent::Completed(Box::new(TurnOutcome { answer, learning, usage, finish }));
                                return;
                            }
                            Err(error) => break error,
                        }
                    }
                    Some(Err(error)) => break self.interrupt(&mut turn, &prompt, error).await,
                    None => break self.interrupt(&mut turn, &prompt, ModelError::Interrupted).await,
                }
            };
            yield TurnEvent::Failed(failure);
        }
    }

    fn usage(&self, prompt: &Prompt, answer: &str) -> TokenUsage {
        let count = |text: &str| u32::try_from(self.model.count_tokens(text)).unwrap_or(u32::MAX);
        let prompt = prompt
            .messages
            .iter()
            .map(|m| count(&m.content))
            .fold(0, u32::saturating_add);
        TokenUsage {
            prompt,
            completion: count(answer),
        }
    }

    /// The model broke off: what had come is kept, marked as interrupted, and nothing is learned.
    async fn interrupt(&self, turn: &mut Turn, prompt: &Prompt, error: ModelError) -> ChatError {
        let usage = self.usage(prompt, &turn.answer.content);
        let model = self.model.name().to_owned();
        turn.answer.status = MessageStatus::Interrupted;
        turn.answer.reply = Some(ReplyInfo {
            model,
            usage,
            finish: FinishReason::Interrupted,
            memories_used: turn.memories_used,
        });
        match self.close(turn).await {
            Ok(_) => error.into(),
            Err(store_error) => store_error,
        }
    }
}
