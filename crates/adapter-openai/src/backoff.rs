//! How long to wait before a call is repeated.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::config::Patience;

/// The pause after this many failed tries; `None` to give up. What the service asks for is honoured
/// or, when it is too long, handed on to the caller. Otherwise the pause is a random part of one that
/// doubles each time, so that callers who failed together do not come back together.
pub(crate) fn pause(patience: &Patience, failed: u32, asked: Option<Duration>) -> Option<Duration> {
    if failed >= patience.tries {
        return None;
    }
    if let Some(asked) = asked {
        return (asked <= patience.longest_pause).then_some(asked);
    }
    let doubled = patience
        .backoff
        .saturating_mul(2_u32.saturating_pow(failed.saturating_sub(1)));
    Some(random_part(doubled.min(patience.longest_pause)))
}

/// Without randomness the whole pause is waited for.
fn random_part(whole: Duration) -> Duration {
    getrandom::u32().map_or(whole, |random| {
        whole.mul_f64(f64::from(random) / f64::from(u32::MAX))
    })
}

/// The wait that an answer asks for: in seconds, or as a date, which is compared with the service's
/// own clock in `Date`.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let date = |text: &str| OffsetDateTime::parse(text, &Rfc2822).ok();
    let asked = text(RETRY_AFTER)?.trim();
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let wait = date(asked)? - text(DATE).and_then(date)?;
    Some(wait.try_into().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(retry_after: &str, date: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_wait_is_read_as_seconds_or_as_a_date() {
        let now = "Sun, 06 Nov 1994 08:49:37 GMT";
        let later = "Sun, 06 Nov 1994 08:50:07 GMT";
        assert_eq!(
            retry_after(&headers("7", None)),
            Some(Duration::from_secs(7))
        );
        assert_eq!(
            retry_after(&headers(later, Some(now))),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            retry_after(&headers(now, Some(later))),
            Some(Duration::ZERO)
        );
        for unclear in ["", "-1", "soon", later] {
            assert_eq!(retry_after(&headers(unclear, None)), None, "{unclear:?}");
        }
    }

    #[test]
    fn pauses_grow_within_their_limit_and_end_with_the_tries() {
        let patience = Patience {
            tries: 9,
            ..Patience::default()
        };
        for (failed, limit_ms) in [(1, 500), (2, 1000), (3, 2000), (8, 20_000)] {
            let longest = (0..50)
                .filter_map(|_| pause(&patience, failed, None))
                .max()
                .unwrap();
            assert!(
                longest <= Duration::from_millis(limit_ms),
                "{failed}: {longest:?}"
            );
            assert!(
                longest > Duration::from_millis(limit_ms / 4),
                "{failed}: {longest:?}"
            );
        }
        assert_eq!(pause(&patience, 9, None), None);
    }

    #[test]
    fn a_wait_that_is_asked_for_is_kept_or_handed_on() {
        let pause = |seconds| pause(&Patience::default(), 1, Some(Duration::from_secs(seconds)));
        assert_eq!(pause(20), Some(Duration::from_secs(20)));
        assert_eq!(pause(21), None);
    }
}
