//! The limiter of one process keeps the contract of its port.

use std::sync::Arc;

use adapter_http::LocalLimiter;
use domain::limits::RateLimiter;

#[tokio::test(flavor = "multi_thread")]
async fn the_limiter_of_one_process_is_a_limiter() {
    testkit::contract::rate_limiter::check(|| async {
        Arc::new(LocalLimiter::default()) as Arc<dyn RateLimiter>
    })
    .await;
}
