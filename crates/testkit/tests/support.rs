//! The parts of the kit that no contract covers.

use std::sync::Arc;
use std::time::Duration;

use domain::chat::{ChatModel, ModelError, Prompt, PromptMessage, ReplyEvent, complete};
use domain::clock::{Clock, IdGenerator};
use domain::memory::{Embedder, EmbeddingPurpose};
use domain::session::Role;
use domain::store::{Store, StoreError};
use futures::{FutureExt, StreamExt};
use testkit::fakes::{
    FixedClock, HashEmbedder, InMemoryStore, Play, ScriptedChatModel, SequentialIds,
};
use testkit::faults::{FaultyEmbedder, FaultyStore};
use testkit::fixtures::{a_profile, a_user, at};
use testkit::seed;

fn question(words: &str) -> Prompt {
    let message = PromptMessage {
        role: Role::User,
        content: words.to_owned(),
    };
    Prompt {
        messages: vec![message],
        max_reply_tokens: 10,
    }
}

#[test]
fn a_clock_moves_only_when_told() {
    let clock = FixedClock::default();
    assert_eq!((clock.now(), clock.now()), (at(0), at(0)));
    clock.advance(Duration::from_secs(5));
    assert_eq!(clock.now(), at(5));
    clock.set(at(1));
    assert_eq!(clock.now(), at(1));
}

#[test]
fn ids_ascend_and_are_the_same_in_every_run() {
    let [one, two] = [SequentialIds::default(), SequentialIds::default()];
    let ids: Vec<_> = (0..100).map(|_| one.next()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b));
    assert!(
        ids.iter()
            .all(|id| *id == two.next() && id.get_version_num() == 7)
    );
}

#[tokio::test]
async fn a_model_plays_its_list_and_then_stands() {
    let model = ScriptedChatModel::echo();
    model.then(Play::say("planned"));
    model.then(Play::Refuse(|| ModelError::Busy));
    let planned = complete(&model, question("one")).await.unwrap();
    assert_eq!(planned.content, "planned");
    let refused = complete(&model, question("two")).await;
    assert!(matches!(refused, Err(ModelError::Busy)));
    let echoed = complete(&model, question("and three")).await.unwrap();
    assert_eq!(echoed.content, "and three");
    assert_eq!(model.prompts(), ["one", "two", "and three"].map(question));
    assert_eq!(model.running(), 0);
}

#[tokio::test]
async fn a_hanging_model_hangs_until_dropped() {
    let model = ScriptedChatModel::always(Play::Hang(vec!["one".to_owned()]));
    let mut stream = model.stream(question("?")).await.unwrap();
    assert!(matches!(
        stream.next().await,
        Some(Ok(ReplyEvent::Delta(_)))
    ));
    assert!(stream.next().now_or_never().is_none());
    assert_eq!(model.running(), 1);
    drop(stream);
    assert_eq!(model.running(), 0);
    model.then(Play::Hang(Vec::new()));
    assert!(model.stream(question("?")).now_or_never().is_none());
}

#[tokio::test]
async fn a_unit_of_work_that_met_a_conflict_is_not_committed() {
    let store = InMemoryStore::new();
    let user = seed::user(&store).await;
    seed::profile(&store, user.id, "Work").await;
    let mut work = store.begin(user.id).await.unwrap();
    work.profiles()
        .add(&a_profile(user.id, "Home"))
        .await
        .unwrap();
    work.profiles()
        .add(&a_profile(user.id, "Work"))
        .await
        .unwrap_err();
    assert!(matches!(
        work.commit().await,
        Err(StoreError::Unavailable(_))
    ));
    let mut work = store.read(user.id).await.unwrap();
    assert_eq!(work.profiles().list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_second_writer_waits_for_the_first() {
    let store = InMemoryStore::new();
    let first = store.begin(a_user().id).await.unwrap();
    assert!(store.begin(a_user().id).now_or_never().is_none());
    drop(first);
    assert!(store.begin(a_user().id).now_or_never().is_some());
}

#[tokio::test]
async fn a_failed_commit_stores_nothing() {
    let inner = InMemoryStore::new();
    let store = FaultyStore::new(Arc::new(inner.clone()));
    let user = a_user();
    store.commit.next(1);
    let mut work = store.begin(user.id).await.unwrap();
    work.users().add(&user, None).await.unwrap();
    assert!(work.commit().await.is_err());
    let mut work = inner.read(user.id).await.unwrap();
    assert_eq!(work.users().find().await.unwrap(), None);
    seed::user(&store).await;
}

#[tokio::test]
async fn a_fault_strikes_when_it_is_told_to() {
    let embedder = FaultyEmbedder::new(Arc::new(HashEmbedder::new()));
    let works = async || {
        embedder
            .embed(Vec::new(), EmbeddingPurpose::Query)
            .await
            .is_ok()
    };
    assert!(works().await);
    embedder.embed.next(2);
    assert_eq!(
        [works().await, works().await, works().await],
        [false, false, true]
    );
    embedder.embed.after(1);
    assert_eq!(
        [works().await, works().await, works().await],
        [true, false, false]
    );
    embedder.embed.heal();
    assert!(works().await);
    embedder.embed.always();
    assert_eq!([works().await, works().await], [false, false]);
}
