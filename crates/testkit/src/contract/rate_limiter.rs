//! The contract of [`RateLimiter`].

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::UserId;
use domain::limits::{Counted, RateLimiter, Taken};

use super::{Case, RACERS, race};
use crate::fixtures::fresh_id;

type Harness = Arc<dyn RateLimiter>;

const CASES: &[Case<Harness>] = cases![
    a_full_bucket_is_one_quota,
    a_bucket_tells_when_it_is_full_again,
    everybody_has_a_bucket_of_their_own,
    an_empty_bucket_fills_again_and_refusals_cost_nothing,
    parallel_calls_get_no_more_than_the_quota,
];

/// Checks a limiter; `fresh` makes one that has counted nothing.
pub async fn check<Fut: Future<Output = Arc<dyn RateLimiter>>>(fresh: impl Fn() -> Fut) {
    super::run("rate limiter", CASES, fresh).await;
}

fn somebody() -> Counted {
    Counted::CallsOf(UserId::new(fresh_id()))
}

async fn take(limiter: &Harness, counted: &Counted, per_minute: u32) -> Taken {
    let quota = NonZeroU32::new(per_minute).unwrap();
    limiter.take(counted, quota).await.unwrap()
}

fn is_granted(taken: Taken) -> bool {
    matches!(taken, Taken::Granted(_))
}

async fn a_full_bucket_is_one_quota(limiter: &Harness) {
    let somebody = somebody();
    for left in (0..5).rev() {
        let taken = take(limiter, &somebody, 5).await;
        assert!(is_granted(taken), "{taken:?}");
        assert_eq!((taken.budget().quota, taken.budget().left), (5, left));
    }
    let Taken::Spent(spent) = take(limiter, &somebody, 5).await else {
        panic!("a sixth call of five");
    };
    assert_eq!((spent.quota, spent.left), (5, 0));
    let next = Duration::from_secs(12);
    assert!(spent.reset > next / 2 && spent.reset <= next, "{spent:?}");
}

async fn a_bucket_tells_when_it_is_full_again(limiter: &Harness) {
    let somebody = somebody();
    for calls in 1..=3 {
        let budget = take(limiter, &somebody, 6).await.budget();
        let whole = Duration::from_secs(10) * calls;
        assert!(
            budget.reset > whole / 2 && budget.reset <= whole,
            "{budget:?}"
        );
    }
}

async fn everybody_has_a_bucket_of_their_own(limiter: &Harness) {
    let address = |text: &str| text.parse().unwrap();
    let everybody = [
        somebody(),
        somebody(),
        Counted::CallsFrom(address("192.0.2.1")),
        Counted::CallsFrom(address("192.0.2.2")),
        Counted::CallsFrom(address("2001:db8::1")),
        Counted::AttemptsFrom(address("192.0.2.1")),
        Counted::AttemptsOn("ada@example.org".to_owned()),
        Counted::AttemptsOn("192.0.2.1".to_owned()),
    ];
    for counted in &everybody {
        assert!(is_granted(take(limiter, counted, 1).await), "{counted:?}");
    }
    for counted in &everybody {
        assert!(!is_granted(take(limiter, counted, 1).await), "{counted:?}");
    }
}

async fn an_empty_bucket_fills_again_and_refusals_cost_nothing(limiter: &Harness) {
    // One call every 200 ms.
    let (somebody, per_minute) = (somebody(), 300);
    let mut granted = 0;
    while is_granted(take(limiter, &somebody, per_minute).await) {
        granted += 1;
        assert!(granted < 10 * per_minute, "it never ends");
    }
    let mut spent = take(limiter, &somebody, per_minute).await;
    for _ in 0..20 {
        spent = take(limiter, &somebody, per_minute).await;
    }
    tokio::time::sleep(spent.budget().reset + Duration::from_millis(10)).await;
    assert!(is_granted(take(limiter, &somebody, per_minute).await));
}

async fn parallel_calls_get_no_more_than_the_quota(limiter: &Harness) {
    let somebody = somebody();
    let taken = race((0..2 * RACERS).map(|_| {
        let (limiter, somebody) = (Arc::clone(limiter), somebody.clone());
        async move { take(&limiter, &somebody, 3).await }
    }))
    .await;
    let granted = taken.into_iter().filter(|taken| is_granted(*taken)).count();
    assert_eq!(granted, 3);
}
