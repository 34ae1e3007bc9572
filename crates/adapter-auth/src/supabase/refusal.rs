//! What upstream's refusals mean here.

use std::time::Duration;

use domain::account::AccountError;
use domain::error::FieldError;

use super::client::Failure;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    SignUp,
    LogIn,
    Refresh,
    /// A token was shown.
    Token,
}

/// Turns a failure of a call into one of the port. Codes are upstream's; there are about a hundred, and
/// new ones come, so what is not listed goes by its status. Whatever may pass by itself is
/// unavailability, and never a wrong password or an ended session.
pub(super) fn account_error(asked: Asked, failure: Failure) -> AccountError {
    let Failure::Refused {
        status,
        code,
        reasons,
        retry_after,
    } = failure
    else {
        return AccountError::Provider(Box::new(failure));
    };
    match code.as_str() {
        "user_already_exists" | "email_exists" => AccountError::EmailTaken,
        "weak_password" => not_taken("password", &weakness(&reasons)),
        "email_address_invalid" | "email_address_not_authorized" => {
            not_taken("email", "the identity service does not take this address")
        }
        "email_not_confirmed" | "provider_email_needs_verification" => {
            AccountError::EmailNotConfirmed
        }
        "signup_disabled"
        | "email_provider_disabled"
        | "anonymous_provider_disabled"
        | "provider_disabled"
        | "captcha_failed" => AccountError::NotAllowed,
        "invalid_credentials" | "user_banned" | "user_not_found" if asked == Asked::LogIn => {
            AccountError::BadCredentials
        }
        "refresh_token_not_found"
        | "refresh_token_already_used"
        | "session_not_found"
        | "session_expired"
        | "user_banned"
        | "user_not_found"
        | "bad_jwt"
        | "no_authorization" => AccountError::BadToken,
        _ => by_status(asked, status, code, retry_after),
    }
}

fn by_status(
    asked: Asked,
    status: u16,
    code: String,
    retry_after: Option<Duration>,
) -> AccountError {
    let is_timeout = matches!(code.as_str(), "request_timeout" | "hook_timeout");
    match (status, asked) {
        // For a token, it is this server that asks too often, not the person.
        (429, Asked::SignUp | Asked::LogIn | Asked::Refresh) => {
            AccountError::TooMany { retry_after }
        }
        (409, Asked::Refresh) => AccountError::RefreshBusy,
        (400 | 413 | 422, Asked::SignUp) if !is_timeout && !code.is_empty() => not_taken(
            "password",
            "the identity service does not take this address and password; 72 bytes at most",
        ),
        // What is no valid log-in is a wrong one.
        (400, Asked::LogIn) if code == "validation_failed" => AccountError::BadCredentials,
        (400 | 422, Asked::LogIn) if !is_timeout && !code.is_empty() => AccountError::NotAllowed,
        (400 | 422, Asked::Refresh | Asked::Token) if !is_timeout && !code.is_empty() => {
            AccountError::BadToken
        }
        // The project's own key or address is wrong: not the fault of who asks.
        _ => AccountError::Provider(Box::new(Failure::Refused {
            status,
            code,
            reasons: Vec::new(),
            retry_after,
        })),
    }
}

fn not_taken(field: &'static str, detail: &str) -> AccountError {
    AccountError::NotTaken(vec![FieldError::new(field, detail)])
}

/// Why a password is too weak, in words.
fn weakness(reasons: &[String]) -> String {
    let words: Vec<&str> = reasons
        .iter()
        .filter_map(|reason| match reason.as_str() {
            "length" => Some("it is too short"),
            "characters" => Some("it lacks a kind of characters"),
            "pwned" => Some("it is known from stolen lists"),
            _ => None,
        })
        .collect();
    match words[..] {
        [] => "the password is too weak".to_owned(),
        _ => format!("the password is too weak: {}", words.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use domain::error::Classify;
    use domain::error::ErrorKind::{
        self, Conflict, Forbidden, Invalid, RateLimited, Unauthenticated, Unavailable,
    };

    use super::Asked::{LogIn, Refresh, SignUp, Token};
    use super::*;

    fn shown(asked: Asked, status: u16, code: &str) -> (ErrorKind, &'static str) {
        let failure = Failure::Refused {
            status,
            code: code.to_owned(),
            reasons: Vec::new(),
            retry_after: None,
        };
        let error = account_error(asked, failure);
        (error.kind(), error.code())
    }

    type Row = (Asked, u16, &'static str, ErrorKind, &'static str);

    #[rustfmt::skip]
    const KNOWN: &[Row] = &[
        (SignUp, 422, "user_already_exists", Conflict, "email_taken"),
        (SignUp, 422, "email_exists", Conflict, "email_taken"),
        (SignUp, 422, "weak_password", Invalid, "validation_failed"),
        (SignUp, 400, "validation_failed", Invalid, "validation_failed"),
        (SignUp, 400, "email_address_invalid", Invalid, "validation_failed"),
        (SignUp, 422, "signup_disabled", Forbidden, "identity_refused"),
        (SignUp, 422, "anonymous_provider_disabled", Forbidden, "identity_refused"),
        (SignUp, 400, "captcha_failed", Forbidden, "identity_refused"),
        (SignUp, 429, "over_email_send_rate_limit", RateLimited, "rate_limited"),
        (LogIn, 400, "invalid_credentials", Unauthenticated, "invalid_credentials"),
        (LogIn, 400, "validation_failed", Unauthenticated, "invalid_credentials"),
        (LogIn, 400, "user_banned", Unauthenticated, "invalid_credentials"),
        (LogIn, 400, "email_not_confirmed", Forbidden, "email_not_confirmed"),
        (LogIn, 422, "email_provider_disabled", Forbidden, "identity_refused"),
        (LogIn, 429, "over_request_rate_limit", RateLimited, "rate_limited"),
        (LogIn, 429, "", RateLimited, "rate_limited"),
        (Refresh, 400, "refresh_token_not_found", Unauthenticated, "invalid_token"),
        (Refresh, 400, "refresh_token_already_used", Unauthenticated, "invalid_token"),
        (Refresh, 400, "session_expired", Unauthenticated, "invalid_token"),
        (Refresh, 400, "session_not_found", Unauthenticated, "invalid_token"),
        (Refresh, 400, "user_banned", Unauthenticated, "invalid_token"),
        (Refresh, 429, "over_request_rate_limit", RateLimited, "rate_limited"),
        (Refresh, 400, "validation_failed", Unauthenticated, "invalid_token"),
        (Refresh, 409, "conflict", Conflict, "refresh_busy"),
        (Token, 403, "bad_jwt", Unauthenticated, "invalid_token"),
        (Token, 403, "session_not_found", Unauthenticated, "invalid_token"),
        (Token, 403, "user_not_found", Unauthenticated, "invalid_token"),
        (Token, 403, "user_banned", Unauthenticated, "invalid_token"),
        (Token, 401, "no_authorization", Unauthenticated, "invalid_token"),
        (Token, 429, "over_request_rate_limit", Unavailable, "identity_unavailable"),
        // Codes that are not listed.
        (SignUp, 422, "something_new", Invalid, "validation_failed"),
        (LogIn, 400, "something_new", Forbidden, "identity_refused"),
        (Refresh, 400, "something_new", Unauthenticated, "invalid_token"),
    ];

    #[test]
    fn every_known_code_has_its_meaning() {
        for (asked, status, code, kind, word) in KNOWN {
            assert_eq!(
                shown(*asked, *status, code),
                (*kind, *word),
                "{asked:?} {code}"
            );
        }
    }

    #[test]
    fn what_may_pass_is_never_a_wrong_password() {
        for asked in [Asked::SignUp, Asked::LogIn, Asked::Refresh, Asked::Token] {
            for (status, code) in [
                (401, ""),
                (403, ""),
                (404, ""),
                (402, ""),
                (403, "not_admin"),
                (400, "request_timeout"),
            ] {
                let expected = (ErrorKind::Unavailable, "identity_unavailable");
                assert_eq!(shown(asked, status, code), expected, "{asked:?} {status}");
            }
            let down = Failure::Unavailable("no connection".to_owned());
            assert_eq!(account_error(asked, down).kind(), ErrorKind::Unavailable);
        }
    }

    #[test]
    fn a_weak_password_is_told_why() {
        let failure = Failure::Refused {
            status: 422,
            code: "weak_password".to_owned(),
            reasons: vec!["length".to_owned(), "pwned".to_owned(), "new".to_owned()],
            retry_after: None,
        };
        let fields = account_error(Asked::SignUp, failure).fields();
        let detail = "the password is too weak: it is too short, it is known from stolen lists";
        assert_eq!(fields, [FieldError::new("password", detail)]);
    }
}
