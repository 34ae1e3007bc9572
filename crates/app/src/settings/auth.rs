//! Who keeps the accounts, and with which secrets.

use std::time::Duration;

use adapter_auth::SupabaseConfig;
use secrecy::{ExposeSecret, SecretString};

use super::Reader;

/// Tokens and passwords.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// Secret that signs tokens; `None` for the one in the data folder.
    pub jwt_secret: Option<SecretString>,
    /// `HS256`, `HS384` or `HS512`.
    pub jwt_algorithm: String,
    /// Life of an access token.
    pub jwt_lifetime: Duration,
    /// Key of the password pre-hash; `None` for the one in the data folder.
    pub password_key: Option<SecretString>,
    /// The Supabase project that keeps the accounts; `None` when they are kept here.
    pub supabase: Option<SupabaseConfig>,
}

impl Reader<'_> {
    pub(super) fn auth(&mut self) -> AuthSettings {
        let jwt_secret = self.secret("JWT_SECRET_KEY");
        let password_key = self.secret("MEMORYCHAT_PASSWORD_KEY");
        let minutes: u32 = self.number("JWT_EXPIRATION_MINUTES", 1, 525_600);
        let supabase = self.supabase();
        let shared = supabase.as_ref().and_then(|set| set.jwt_secret.as_ref());
        self.differ(
            "MEMORYCHAT_PASSWORD_KEY",
            password_key.as_ref(),
            jwt_secret.as_ref(),
        );
        self.differ("SUPABASE_JWT_SECRET", shared, jwt_secret.as_ref());
        AuthSettings {
            jwt_secret,
            jwt_algorithm: self.choice("JWT_ALGORITHM", &["HS256", "HS384", "HS512"]),
            jwt_lifetime: Duration::from_mins(u64::from(minutes)),
            password_key,
            supabase,
        }
    }

    /// A secret for two purposes is lost for both at once.
    fn differ(&mut self, name: &str, one: Option<&SecretString>, signing: Option<&SecretString>) {
        if let (Some(one), Some(signing)) = (one, signing)
            && one.expose_secret() == signing.expose_secret()
        {
            self.mistakes
                .push(format!("{name}: must differ from JWT_SECRET_KEY"));
        }
    }

    fn supabase(&mut self) -> Option<SupabaseConfig> {
        let allow_anonymous = self.flag("SUPABASE_ALLOW_ANONYMOUS");
        let check_sessions = self.flag("SUPABASE_CHECK_SESSIONS");
        let (url, key) = (self.text("SUPABASE_URL"), self.secret("SUPABASE_KEY"));
        match (url, key) {
            (Some(url), Some(key)) => {
                return Some(SupabaseConfig {
                    url,
                    auth_path: self.text("SUPABASE_AUTH_PATH").unwrap_or_default(),
                    issuer: self.text("SUPABASE_ISSUER"),
                    key,
                    service_key: self.secret("SUPABASE_SERVICE_KEY"),
                    jwt_secret: self.secret("SUPABASE_JWT_SECRET"),
                    allow_anonymous,
                    check_sessions,
                });
            }
            (Some(_), None) => {
                let missing = "SUPABASE_URL: needs SUPABASE_KEY, the project's publishable key";
                self.mistakes.push(missing.to_owned());
            }
            (None, Some(_)) => {
                let missing = "SUPABASE_KEY: needs SUPABASE_URL, the project's address";
                self.mistakes.push(missing.to_owned());
            }
            (None, None) => {}
        }
        None
    }
}
