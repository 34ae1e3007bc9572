//! Runs a turn in a task of its own, so that it does not die with the request that asked for it.
//!
//! What a lost client means is the turn's to say: one whose answer is stored goes on to its end with
//! nobody listening, an incognito one stops at once, wherever it is.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use domain::chat::{
    ChatError, ModelError, Question, RecallNote, TurnEvent, TurnOutcome, TurnStart, TurnStream,
};
use domain::error::Classify;
use domain::ids::{SessionId, UserId};
use futures::StreamExt;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument;

use crate::Api;
use crate::metrics::Metrics;
use crate::turn_places::TurnPlace;

/// So many events may wait for a slow client before the turn waits for it too.
const BUFFER: usize = 32;

/// A client that takes nothing for so long is as good as gone.
const STALL: Duration = Duration::from_mins(1);

/// A question to a session.
pub(crate) struct Asked {
    /// Who asks.
    pub(crate) user: UserId,
    /// Where.
    pub(crate) session: SessionId,
    /// What.
    pub(crate) question: Question,
}

/// The events of a turn as they reach one client; dropping it is hanging up.
pub(crate) type TurnEvents = mpsc::Receiver<TurnEvent>;

type Start = oneshot::Sender<Result<TurnEvents, ChatError>>;

/// Starts a turn, which keeps its place to its end. It resolves once the model has begun to answer, so
/// every refusal before that is an error here.
pub(crate) async fn begin(
    api: Arc<Api>,
    metrics: Metrics,
    asked: Asked,
    place: TurnPlace,
) -> Result<TurnEvents, ChatError> {
    let (start, started) = oneshot::channel();
    let tasks = Arc::clone(&api.tasks);
    let turn = async move {
        run(api, metrics, asked, start).await;
        drop(place);
    };
    tasks.spawn(Box::pin(turn.in_current_span()));
    // The task can only be gone when the whole process is going.
    started.await.unwrap_or_else(|_| Err(broken_off()))
}

/// Waits for the end of a turn.
pub(crate) async fn whole(mut events: TurnEvents) -> Result<(TurnStart, TurnOutcome), ChatError> {
    let mut start = None;
    while let Some(event) = events.recv().await {
        match event {
            TurnEvent::Started(started) => start = Some(*started),
            TurnEvent::Delta(_) => {}
            TurnEvent::Completed(outcome) => {
                return start.map(|start| (start, *outcome)).ok_or_else(broken_off);
            }
            TurnEvent::Failed(error) => return Err(error),
        }
    }
    Err(broken_off())
}

/// What is said of a turn that vanished in the middle.
pub(crate) fn broken_off() -> ChatError {
    ChatError::Model(ModelError::Interrupted)
}

async fn run(api: Arc<Api>, metrics: Metrics, asked: Asked, mut start: Start) {
    let mut tally = Tally {
        metrics,
        mode: "unknown",
        completed: "completed",
    };
    match begin_unless_abandoned(&api, asked, &mut start).await {
        Some(Ok(turn)) => {
            let (events, receiver) = mpsc::channel(BUFFER);
            // Nobody there: the receiver is dropped here, and the driver sees a client that is gone.
            let _ = start.send(Ok(receiver));
            drive(turn, events, &mut tally).await;
        }
        Some(Err(error)) => {
            tally.ended(error.code());
            if let Err(Err(unseen)) = start.send(Err(error)) {
                log_unseen(&unseen);
            }
        }
        None => tally.ended(ABANDONED),
    }
}

/// `None` when the client left before the answer began and the turn was not to be stored.
async fn begin_unless_abandoned(
    api: &Api,
    asked: Asked,
    start: &mut Start,
) -> Option<Result<TurnStream, ChatError>> {
    let (user, session) = (asked.user, asked.session);
    let mut turn = pin!(api.turns.stream(user, session, asked.question));
    tokio::select! {
        begun = &mut turn => return Some(begun),
        () = start.closed() => {}
    }
    // The turn may hold a lock that the question about its session waits for: poll both.
    tokio::select! {
        begun = &mut turn => return Some(begun),
        stored = is_stored(api, user, session) => if !stored {
            return None;
        }
    }
    Some(turn.await)
}

/// Does this session keep its messages? When in doubt the turn goes on, which loses nothing.
async fn is_stored(api: &Api, user: UserId, session: SessionId) -> bool {
    let found = api.sessions.get(user, session).await;
    found.map_or(true, |view| view.session.mode.persists())
}

async fn drive(turn: TurnStream, events: mpsc::Sender<TurnEvent>, tally: &mut Tally) {
    let TurnStream {
        events: mut stream,
        survives_hangup,
    } = turn;
    let mut client = Some(events);
    loop {
        let next = match &client {
            Some(client) if !survives_hangup => tokio::select! {
                event = stream.next() => event,
                () = client.closed() => return tally.ended(ABANDONED),
            },
            _ => stream.next().await,
        };
        let Some(event) = next else { return };
        tally.note(&event);
        let unseen = match &client {
            Some(client) => client.send_timeout(event, STALL).await.err(),
            None => Some(SendTimeoutError::Closed(event)),
        };
        if let Some(unseen) = unseen {
            if !survives_hangup {
                return tally.ended(ABANDONED);
            }
            client = None;
            if let TurnEvent::Failed(error) = unseen.into_inner() {
                log_unseen(&error);
            }
        }
    }
}

/// A failure that no client is there to be told of.
fn log_unseen(error: &ChatError) {
    let code = error.code();
    tracing::warn!(code, "a turn failed after its client had left");
}

/// How a turn ended that was told again.
const REPLAYED: &str = "replayed";

/// How a turn ended whose client left and whose answer was not to be stored.
const ABANDONED: &str = "abandoned";

/// Counts a turn.
struct Tally {
    metrics: Metrics,
    mode: &'static str,
    /// How it ended when it ends well.
    completed: &'static str,
}

impl Tally {
    fn note(&mut self, event: &TurnEvent) {
        match event {
            TurnEvent::Started(start) => {
                self.mode = start.mode.as_str();
                match start.recall {
                    RecallNote::Failed => {
                        tracing::warn!("recall failed; the turn goes on without memories");
                    }
                    RecallNote::Replayed => self.completed = REPLAYED,
                    RecallNote::Off | RecallNote::Done | RecallNote::WordsOnly => {}
                }
            }
            TurnEvent::Delta(_) => {}
            TurnEvent::Completed(_) => self.ended(self.completed),
            TurnEvent::Failed(error) => self.ended(error.code()),
        }
    }

    fn ended(&self, outcome: &str) {
        self.metrics.turn(self.mode, outcome);
    }
}
