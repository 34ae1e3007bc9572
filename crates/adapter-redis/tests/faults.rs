//! What happens when Redis is away, slow, locked, or writes to a disk.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter_redis::{
    RedisConfig, RedisFailure, RedisLimiter, RedisProbe, RedisServer, RedisTranscripts,
};
use domain::health::Probe;
use domain::ids::UserId;
use domain::limits::{Counted, RateLimiter, Taken};
use domain::privacy::PrivacyMode;
use domain::session::{EphemeralLimits, Session, TranscriptCache, TranscriptError};
use futures::future::join_all;
use testkit::cutter::{Cut, Cutter};
use testkit::fakes::FixedClock;
use testkit::fixtures::{a_message, a_session, fresh_id};
use testkit::redis_server::{IN_MEMORY, Redis};

fn server_at(redis: &Redis) -> Arc<RedisServer> {
    Arc::new(RedisServer::new(&RedisConfig::new(redis.url())).unwrap())
}

fn turns(server: &Arc<RedisServer>, idle: Duration) -> RedisTranscripts {
    let limits = EphemeralLimits {
        idle,
        ..EphemeralLimits::default()
    };
    RedisTranscripts::new(Arc::clone(server), Arc::new(FixedClock::default()), limits)
}

fn a_hidden_session() -> Session {
    Session {
        mode: PrivacyMode::Incognito,
        ..a_session(UserId::new(fresh_id()), None)
    }
}

fn is_unavailable<T>(outcome: &Result<T, TranscriptError>) -> bool {
    matches!(outcome, Err(TranscriptError::Unavailable(_)))
}

#[tokio::test]
async fn a_redis_that_persists_is_refused_unless_it_may() {
    for ways in [
        ["--save", "60 1", "--appendonly", "no"],
        ["--save", "", "--appendonly", "yes"],
    ] {
        let folder = std::env::temp_dir().join(testkit::redis_server::fresh_prefix());
        std::fs::create_dir_all(&folder).unwrap();
        let dir = folder.display().to_string();
        let Some(redis) = Redis::start_with(&[&ways[..], &["--dir", &dir]].concat()) else {
            return;
        };
        let server = server_at(&redis);
        let refused = server.connect().await;
        assert!(
            matches!(refused, Err(RedisFailure::Persists(_))),
            "{refused:?}"
        );
        let turns = turns(&server, Duration::from_hours(1));
        assert!(is_unavailable(&turns.put(a_hidden_session()).await));
        let keys = redis.command("DBSIZE").unwrap();
        assert_eq!(keys.trim(), ":0", "nothing was written");

        let config = RedisConfig {
            allow_persistence: true,
            ..RedisConfig::new(redis.url())
        };
        let allowed = RedisServer::new(&config).unwrap();
        allowed.connect().await.unwrap();
        drop(redis);
        std::fs::remove_dir_all(folder).unwrap();
    }
}

#[tokio::test]
async fn a_redis_that_begins_to_persist_is_left_at_the_next_look() {
    let Some(redis) = Redis::start() else { return };
    let server = server_at(&redis);
    let turns = turns(&server, Duration::from_hours(1));
    turns.put(a_hidden_session()).await.unwrap();
    let probe = RedisProbe::new(Arc::clone(&server));
    assert!(probe.check().await.unwrap().contains("all in memory"));

    redis.command("CONFIG SET save \"3600 1000\"").unwrap();
    let ailment = probe.check().await.unwrap_err();
    assert!(ailment.problem.contains("writes to a disk"), "{ailment}");
    assert!(is_unavailable(&turns.put(a_hidden_session()).await));
    assert!(!probe.required(), "turns in other modes go on");
}

#[tokio::test]
async fn a_redis_that_does_not_tell_is_used() {
    let arguments = [&IN_MEMORY[..], &["--rename-command", "CONFIG", ""]].concat();
    let Some(redis) = Redis::start_with(&arguments) else {
        return;
    };
    let server = server_at(&redis);
    server.connect().await.unwrap();
    let found = RedisProbe::new(server).check().await.unwrap();
    assert!(found.contains("does not tell"), "{found}");
}

#[tokio::test]
async fn a_wrong_password_is_told_from_a_redis_that_is_away() {
    let arguments = [&IN_MEMORY[..], &["--requirepass", "right"]].concat();
    let Some(mut redis) = Redis::start_with(&arguments) else {
        return;
    };
    let with = |password: &str| {
        let url = redis.url().replace("//", &format!("//:{password}@"));
        RedisServer::new(&RedisConfig::new(url)).unwrap()
    };
    with("right").connect().await.unwrap();
    let refused = with("wrong").connect().await.unwrap_err();
    assert!(!refused.is_passing(), "{refused:?}");
    let away = with("right");
    redis.kill();
    let refused = away.connect().await.unwrap_err();
    assert!(refused.is_passing(), "{refused:?}");
}

#[tokio::test]
async fn after_a_restart_it_is_used_again_and_what_it_held_is_gone() {
    let Some(mut redis) = Redis::start() else {
        return;
    };
    let server = server_at(&redis);
    let turns = turns(&server, Duration::from_hours(1));
    let session = a_hidden_session();
    turns.put(session.clone()).await.unwrap();
    redis.kill();
    assert!(is_unavailable(&turns.find(session.user, session.id).await));
    assert!(is_unavailable(&turns.put(session.clone()).await));
    let limiter = RedisLimiter::new(server, &[7; 64]);
    let somebody = Counted::CallsOf(session.user);
    assert!(limiter.take(&somebody, NonZeroU32::MIN).await.is_err());
    redis.start_again();
    let begun = Instant::now();
    let found = loop {
        match turns.find(session.user, session.id).await {
            Ok(found) => break found,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
    };
    assert_eq!(found, None);
    turns.put(session).await.unwrap();
}

#[tokio::test]
async fn a_restart_between_two_calls_is_not_noticed() {
    let Some(mut redis) = Redis::start() else {
        return;
    };
    let turns = turns(&server_at(&redis), Duration::from_hours(1));
    turns.put(a_hidden_session()).await.unwrap();
    redis.kill();
    redis.start_again();
    turns.put(a_hidden_session()).await.unwrap();
}

#[tokio::test]
async fn a_redis_that_hangs_costs_one_wait_and_not_one_per_call() {
    let Some(redis) = Redis::start() else { return };
    let server = server_at(&redis);
    let limiter = RedisLimiter::new(server, &[7; 64]);
    let somebody = Counted::CallsOf(UserId::new(fresh_id()));
    assert!(limiter.take(&somebody, NonZeroU32::MIN).await.is_ok());
    redis.freeze();
    assert!(limiter.take(&somebody, NonZeroU32::MIN).await.is_err());
    let begun = Instant::now();
    for _ in 0..20 {
        assert!(limiter.take(&somebody, NonZeroU32::MIN).await.is_err());
    }
    // Twenty waits would be ten seconds.
    assert!(begun.elapsed() < Duration::from_secs(5));
    redis.thaw();
    for _ in 0..500 {
        if limiter.take(&somebody, NonZeroU32::MIN).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never came back");
}

#[tokio::test]
async fn while_one_call_waits_for_a_redis_that_is_silent_no_other_does() {
    // The connection is made, and nothing ever answers.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let config = RedisConfig::new(format!("redis://127.0.0.1:{port}/"));
    let server = Arc::new(RedisServer::new(&config).unwrap());
    let limiter = RedisLimiter::new(Arc::clone(&server), &[7; 64]);
    let turns = turns(&server, Duration::from_hours(1));
    let somebody = Counted::CallsOf(UserId::new(fresh_id()));
    let session = a_hidden_session();
    let others = async {
        for _ in 0..3 {
            let takes = (0..50).map(|_| limiter.take(&somebody, NonZeroU32::MIN));
            assert!(join_all(takes).await.iter().all(Result::is_err));
            assert!(is_unavailable(&turns.find(session.user, session.id).await));
        }
    };
    tokio::select! {
        biased;
        _ = limiter.take(&somebody, NonZeroU32::MIN) => panic!("the others waited for it"),
        () = others => {}
    }
    silent.set_nonblocking(true).unwrap();
    assert!(silent.accept().is_ok());
    assert!(silent.accept().is_err(), "one attempt at a time");
}

#[tokio::test]
async fn a_session_whose_end_was_not_heard_of_was_there() {
    let Some(redis) = Redis::start() else { return };
    let wire = Cutter::on(redis.port(), b"EVALSHA");
    let config = RedisConfig::new(format!("redis://127.0.0.1:{}/", wire.port()));
    let server = Arc::new(RedisServer::new(&config).unwrap());
    let turns = turns(&server, Duration::from_hours(1));
    let (known, session) = (a_hidden_session(), a_hidden_session());
    for session in [&known, &session] {
        turns.put(session.clone()).await.unwrap();
    }
    assert!(turns.remove(known.user, known.id).await.unwrap());
    wire.cut(0, Cut::After);
    assert!(turns.remove(session.user, session.id).await.unwrap());
    assert_eq!(wire.cuts(), 1);
    assert!(!turns.remove(session.user, session.id).await.unwrap());
}

#[tokio::test]
async fn a_turn_that_is_sent_twice_is_kept_once() {
    let Some(redis) = Redis::start() else { return };
    let turns = turns(&server_at(&redis), Duration::from_hours(1));
    let session = a_hidden_session();
    turns.put(session.clone()).await.unwrap();
    let turn = vec![a_message(session.id, "once")];
    for _ in 0..2 {
        let turn = turn.clone();
        turns.append(session.user, session.id, turn).await.unwrap();
    }
    let kept = turns.recent(session.user, session.id, 10).await.unwrap();
    assert_eq!(kept, turn);
}

#[tokio::test]
async fn redis_itself_forgets_an_idle_session() {
    let Some(redis) = Redis::start() else { return };
    let turns = turns(&server_at(&redis), Duration::from_millis(300));
    let session = a_hidden_session();
    turns.put(session.clone()).await.unwrap();
    let turn = vec![a_message(session.id, "Said in secret.")];
    turns.append(session.user, session.id, turn).await.unwrap();
    for _ in 0..500 {
        if redis.command("DBSIZE").unwrap().trim() == ":0" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it stays: {:?}", redis.command("KEYS *"));
}

#[tokio::test]
async fn who_is_counted_does_not_lie_in_redis() {
    let Some(redis) = Redis::start() else { return };
    let limiter = RedisLimiter::new(server_at(&redis), &[7; 64]);
    let quota = NonZeroU32::new(5).unwrap();
    let user = UserId::new(fresh_id());
    for counted in [
        Counted::AttemptsOn("ada@example.org".to_owned()),
        Counted::AttemptsFrom("192.0.2.17".parse().unwrap()),
        Counted::CallsOf(user),
    ] {
        limiter.take(&counted, quota).await.unwrap();
    }
    let keys = redis.command("KEYS *").unwrap();
    assert!(keys.starts_with("*3\r\n"), "{keys}");
    for clear in ["ada", "192.0.2.17", &user.to_string()] {
        assert!(!keys.contains(clear), "{keys}");
    }
}

#[tokio::test]
async fn replicas_with_different_keys_find_out() {
    let Some(redis) = Redis::start() else { return };
    let server = server_at(&redis);
    let with = |key: u8| RedisLimiter::new(Arc::clone(&server), &[key; 64]);
    assert!(with(7).agrees().await.unwrap());
    assert!(with(7).agrees().await.unwrap());
    assert!(!with(8).agrees().await.unwrap());
}

#[tokio::test]
async fn a_clock_that_jumps_back_locks_nobody_out() {
    let Some(redis) = Redis::start() else { return };
    let limiter = RedisLimiter::new(server_at(&redis), &[7; 64]);
    let quota = NonZeroU32::new(600).unwrap();
    let somebody = Counted::CallsOf(UserId::new(fresh_id()));
    limiter.take(&somebody, quota).await.unwrap();
    // What was written before the clock went back by an hour.
    let ahead = "EVAL \"local k = redis.call('KEYS', '*')[1] \
                 local t = string.format('%.0f', (redis.call('TIME')[1] + 3600) * 1000000) \
                 return redis.call('SET', k, t, 'PX', 3600000)\" 0";
    assert!(redis.command(ahead).unwrap().contains("OK"));
    let Taken::Spent(spent) = limiter.take(&somebody, quota).await.unwrap() else {
        panic!("the jump forgave calls");
    };
    assert!(spent.reset <= Duration::from_millis(100), "{spent:?}");
}

#[tokio::test]
async fn tls_is_spoken_and_a_plain_redis_fails_at_it() {
    let Some(redis) = Redis::start() else { return };
    let url = redis.url().replace("redis://", "rediss://");
    let server = RedisServer::new(&RedisConfig::new(url)).unwrap();
    assert!(server.connect().await.is_err());
}
