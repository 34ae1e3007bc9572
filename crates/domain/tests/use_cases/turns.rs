//! One question and its answer, step by step.

use std::pin::pin;

use domain::chat::{ChatError, ModelError, ModelLimits, RecallNote, TurnConfig, TurnEvent};
use domain::ids::UserId;
use domain::jobs::JobQueue;
use domain::privacy::PrivacyMode::{self, Normal};
use domain::session::{FinishReason, Message, MessageStatus, Role, WithMemories};
use domain::store::Store;
use futures::{FutureExt, StreamExt, poll};
use testkit::fakes::Play;

use crate::common::{Setup, Told, World};

fn pieces(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn shape(messages: &[Message]) -> Vec<(Role, &str, MessageStatus)> {
    messages
        .iter()
        .map(|m| (m.role, m.content.as_str(), m.status))
        .collect()
}

async fn jobs(world: &World) -> u64 {
    world.rows.depth().await.unwrap().pending
}

/// Nobody holds the writer's place.
fn store_is_free(world: &World, user: UserId) -> bool {
    world.store.begin(user).now_or_never().is_some()
}

#[tokio::test]
async fn a_prompt_is_instructions_memories_newest_history_and_the_question_last() {
    let turns = TurnConfig {
        history: 4,
        ..TurnConfig::default()
    };
    let world = World::with(Setup {
        turns,
        ..Setup::default()
    });
    let (user, profile) = world.user().await;
    world
        .memories
        .add(user, profile.id(), "My dog is called <Rex>.")
        .await
        .unwrap();
    let session = world.session(user, Normal).await;
    for text in ["one", "two", "three"] {
        world.say(user, session, text).await;
    }
    world.say(user, session, "What is my dog called?").await;

    let prompt = world.last_prompt();
    assert!(
        prompt[0].starts_with("You are a helpful assistant."),
        "{}",
        prompt[0]
    );
    assert!(prompt[0].ends_with("<memories>\n- My dog is called ‹Rex›.\n</memories>"));
    let rest: Vec<_> = prompt[1..].iter().map(String::as_str).collect();
    assert_eq!(
        rest,
        ["two", "two", "three", "three", "What is my dog called?"]
    );
}

#[tokio::test]
async fn a_whole_turn_is_told_and_stored_as_it_was() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    let end = Play::Say(pieces(&["Hello", " Ada!"]), FinishReason::Length, None);
    world.model.then(end);
    let told = world.say(user, session, "Hello?").await;

    let outcome = told.end.unwrap();
    assert_eq!(told.words, "Hello Ada!");
    assert_eq!(
        (told.start.mode, told.start.recall),
        (Normal, RecallNote::Done)
    );
    assert_eq!(
        (outcome.finish, outcome.learning),
        (FinishReason::Length, true)
    );
    assert!(
        outcome.usage.prompt > 0 && outcome.usage.completion > 0,
        "counted where untold"
    );
    assert_eq!(
        world.stored(user, session).await,
        [told.start.question, outcome.answer]
    );
    assert_eq!(world.signal.0.take(), 1, "the worker is woken");
}

#[tokio::test]
async fn the_question_is_stored_before_the_model_is_called_and_stays_when_it_refuses() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    world.model.then(Play::Refuse(|| ModelError::Refused));
    let refused = world.ask(user, session, "Hello?").await.err();
    assert!(matches!(
        refused,
        Some(ChatError::Model(ModelError::Refused))
    ));

    let stored = world.stored(user, session).await;
    assert_eq!(
        shape(&stored),
        [(Role::User, "Hello?", MessageStatus::Complete)]
    );
    assert_eq!(jobs(&world).await, 0);
    let next = world.say(user, session, "Are you there?").await;
    assert!(next.end.is_ok());
    assert_eq!(world.last_prompt()[1..], ["Hello?", "Are you there?"]);
}

#[tokio::test]
async fn nothing_of_the_store_is_held_while_the_model_thinks_or_speaks() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    world.model.then(Play::Hang(Vec::new()));
    {
        let mut thinking = pin!(world.ask(user, session, "Hello?"));
        assert!(poll!(&mut thinking).is_pending());
        assert_eq!(world.model.prompts().len(), 1, "the model was called");
        assert!(store_is_free(&world, user));
        let stored = world.stored(user, session).await;
        assert_eq!(stored[0].content, "Hello?");
    }

    let other = world.session(user, Normal).await;
    world.model.then(Play::Hang(pieces(&["Well,"])));
    let mut turn = world.ask(user, other, "Hello?").await.unwrap();
    turn.events.next().await.unwrap();
    turn.events.next().await.unwrap();
    assert!(turn.events.next().now_or_never().is_none(), "it hangs");
    assert!(store_is_free(&world, user));
}

#[tokio::test]
async fn a_cut_answer_is_stored_as_far_as_it_came_and_nothing_is_learned() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let session = world.session(user, Normal).await;
    world
        .model
        .then(Play::BreakOff(pieces(&["Half an", " ans"])));
    let told = world.say(user, session, "My dog is called Rex.").await;

    assert!(matches!(
        told.end,
        Err(ChatError::Model(ModelError::Interrupted))
    ));
    let stored = world.stored(user, session).await;
    assert_eq!(
        shape(&stored)[1],
        (Role::Assistant, "Half an ans", MessageStatus::Interrupted)
    );
    assert_eq!(
        stored[1].reply.as_ref().unwrap().finish,
        FinishReason::Interrupted
    );
    assert_eq!(jobs(&world).await, 0);
    world.run_jobs().await;
    assert!(world.memories_of(&profile).await.is_empty());
    assert!(world.say(user, session, "Go on.").await.end.is_ok());
}

#[tokio::test]
async fn a_growing_answer_is_stored_on_its_way() {
    let turns = TurnConfig {
        flush_bytes: 8,
        ..TurnConfig::default()
    };
    let world = World::with(Setup {
        turns,
        ..Setup::default()
    });
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    world
        .model
        .then(Play::Hang(pieces(&["Once upon", " a time"])));
    let mut turn = world.ask(user, session, "Tell!").await.unwrap();
    for _ in 0..3 {
        turn.events.next().await.unwrap();
    }
    let stored = world.stored(user, session).await;
    assert_eq!(
        shape(&stored)[1],
        (Role::Assistant, "Once upon", MessageStatus::Streaming)
    );
}

#[tokio::test]
async fn the_memories_told_are_exactly_those_in_the_prompt() {
    for context_tokens in [120, 300, 400, 4000] {
        let limits = Some(ModelLimits {
            context_tokens,
            reply_tokens: 20,
        });
        let world = World::with(Setup {
            limits,
            ..Setup::default()
        });
        let (user, profile) = world.user().await;
        for n in 0..8 {
            let text = format!(
                "My dog number {n} is called Rex{n}, {}.",
                "a good boy ".repeat(5)
            );
            world.memories.add(user, profile.id(), &text).await.unwrap();
        }
        let session = world.session(user, Normal).await;
        let told = world.say(user, session, "Which dogs?").await;

        let system = &world.last_prompt()[0];
        let told: Vec<_> = told
            .start
            .memories
            .iter()
            .map(|m| m.memory.content.as_str().to_owned())
            .collect();
        let shown: Vec<_> = system
            .lines()
            .filter_map(|line| line.strip_prefix("- "))
            .collect();
        assert_eq!(shown, told, "in a window of {context_tokens}");
        assert_eq!(
            told.is_empty(),
            context_tokens == 120,
            "in a window of {context_tokens}"
        );
    }
}

#[tokio::test]
async fn a_failing_recall_is_told_and_does_not_fail_the_turn() {
    let world = World::new();
    let (user, profile) = world.user().await;
    world
        .memories
        .add(user, profile.id(), "My dog is called Rex.")
        .await
        .unwrap();
    let session = world.session(user, Normal).await;

    world.embedder.fail(true);
    let told = world.say(user, session, "What is my dog called?").await;
    assert_eq!(
        (told.start.recall, told.start.memories.len()),
        (RecallNote::WordsOnly, 1)
    );
    assert!(told.end.is_ok());
    world.index.power.down();
    let told = world.say(user, session, "What is my dog called?").await;
    assert_eq!(
        (told.start.recall, told.start.memories.len()),
        (RecallNote::Failed, 0)
    );
    assert!(told.end.is_ok());
}

#[tokio::test]
async fn parallel_turns_of_a_session_follow_each_other_and_see_the_answer_before_them() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    let elsewhere = world.session(user, Normal).await;
    world.model.then(Play::say("The first answer."));
    let first = world.ask(user, session, "First?").await.unwrap();

    let mut second = pin!(world.ask(user, session, "Second?"));
    assert!(poll!(&mut second).is_pending(), "it waits for its place");
    assert_eq!(world.model.prompts().len(), 1);
    assert!(
        world.say(user, elsewhere, "Other?").await.end.is_ok(),
        "others do not wait"
    );

    Told::from(first).await.end.unwrap();
    let second = Told::from(second.await.unwrap()).await;
    assert_eq!(
        world.last_prompt()[1..],
        ["First?", "The first answer.", "Second?"]
    );
    assert_eq!(second.words, "Second?");
}

#[tokio::test]
async fn not_every_turn_may_wait() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    let running = world.ask(user, session, "First?").await.unwrap();
    let mut waiting: Vec<_> = (0..8)
        .map(|_| Box::pin(world.ask(user, session, "Next?")))
        .collect();
    for turn in &mut waiting {
        assert!(poll!(turn).is_pending());
    }
    let refused = world.ask(user, session, "One more?").await.err();
    assert!(matches!(refused, Some(ChatError::SessionBusy)));
    assert_eq!(world.stored(user, session).await.len(), 2);

    waiting.pop();
    let last = world.ask(user, session, "Now?");
    assert!(poll!(pin!(last)).is_pending(), "somebody left");
    drop((running, waiting));
}

#[tokio::test]
async fn a_turn_that_is_given_up_makes_room_for_the_next() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, PrivacyMode::Incognito).await;
    world.model.then(Play::Hang(pieces(&["Well,"])));
    let turn = world.ask(user, session, "First?").await.unwrap();
    assert!(!turn.survives_hangup);
    assert_eq!(world.model.running(), 1);
    drop(turn);
    assert_eq!(world.model.running(), 0, "the model stops");
    assert!(world.say(user, session, "Second?").await.end.is_ok());
}

#[tokio::test]
async fn a_turn_on_a_session_deleted_meanwhile_leaves_nothing() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let session = world.session(user, Normal).await;
    let turn = world
        .ask(user, session, "My dog is called Rex.")
        .await
        .unwrap();
    assert!(turn.survives_hangup);
    world
        .sessions
        .delete(user, session, WithMemories::Keep)
        .await
        .unwrap();
    let told = Told::from(turn).await;

    assert!(matches!(told.end, Err(ChatError::SessionGone)));
    assert_eq!(jobs(&world).await, 0);
    let mut rows = world.store.read(user).await.unwrap();
    assert!(
        rows.messages()
            .find(told.start.question.id)
            .await
            .unwrap()
            .is_none()
    );
    assert!(world.memories_of(&profile).await.is_empty());
}

#[tokio::test]
async fn a_profile_deleted_during_the_turn_learns_nothing() {
    let world = World::new();
    let (user, profile) = world.user().await;
    let other = world
        .profiles
        .create(user, "Other", None, false)
        .await
        .unwrap()
        .profile;
    let session = world.session(user, Normal).await;
    let turn = world
        .ask(user, session, "My dog is called Rex.")
        .await
        .unwrap();
    world.profiles.delete(user, profile.id()).await.unwrap();
    assert!(Told::from(turn).await.end.is_ok());
    world.run_jobs().await;
    assert!(world.extractor.seen().is_empty());
    assert!(world.memories_of(&other).await.is_empty());
    assert_eq!(world.index.inner.total(), 0);
}

#[tokio::test]
async fn a_long_history_never_overruns_the_window() {
    let limits = ModelLimits {
        context_tokens: 150,
        reply_tokens: 40,
    };
    let turns = TurnConfig {
        history: 50,
        ..TurnConfig::default()
    };
    let world = World::with(Setup {
        limits: Some(limits),
        turns,
        ..Setup::default()
    });
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    for n in 0..15 {
        world
            .say(
                user,
                session,
                &format!("Message {n}: {}", "word ".repeat(n)),
            )
            .await;
    }
    for prompt in world.model.prompts() {
        let texts = prompt
            .messages
            .iter()
            .map(|message| message.content.len().div_ceil(4));
        let tokens = texts.sum::<usize>() + prompt.max_reply_tokens as usize;
        assert!(tokens <= 150, "{tokens} tokens");
    }
    assert!(world.last_prompt().len() > 2, "some history fits");
}

#[tokio::test]
async fn a_question_longer_than_the_window_is_refused_and_the_session_goes_on() {
    let limits = Some(ModelLimits {
        context_tokens: 100,
        reply_tokens: 20,
    });
    let world = World::with(Setup {
        limits,
        ..Setup::default()
    });
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    let refused = world.ask(user, session, &"word ".repeat(200)).await.err();
    assert!(matches!(
        refused,
        Some(ChatError::Model(ModelError::PromptTooLong))
    ));
    assert!(world.model.prompts().is_empty());
    assert!(world.say(user, session, "Short?").await.end.is_ok());
}

#[tokio::test]
async fn what_is_no_question_is_refused() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    let long = "x".repeat(10_001);
    for text in ["", " \n ", "a\0b", &long] {
        assert!(
            world.ask(user, session, text).await.is_err(),
            "{} bytes",
            text.len()
        );
    }
    assert!(world.stored(user, session).await.is_empty());
}

#[tokio::test]
async fn a_nul_in_an_answer_is_left_out() {
    let world = World::new();
    let (user, _) = world.user().await;
    let session = world.session(user, Normal).await;
    world.model.then(Play::say("a\0b"));
    let mut turn = world.ask(user, session, "Hello?").await.unwrap();
    turn.events.next().await.unwrap();
    let delta = turn.events.next().await.unwrap();
    assert!(matches!(delta, TurnEvent::Delta(text) if text == "ab"));
}
