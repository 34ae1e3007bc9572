//! Settings: read once at start, checked as a whole, handed on as values.

mod auth;
mod qdrant;
mod sources;
mod table;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use adapter_qdrant::QdrantConfig;
use secrecy::{ExposeSecret, SecretString};

pub use auth::AuthSettings;
use sources::Values;
pub(crate) use sources::place;
pub use table::{SETTINGS, Setting, markdown};

/// Who answers, or who embeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// An OpenAI-compatible service.
    OpenAi,
    /// Models in this process.
    Local,
}

/// The model service.
#[derive(Debug, Clone)]
pub struct OpenAiSettings {
    /// Its key.
    pub api_key: Option<SecretString>,
    /// Its address; `None` for OpenAI's own.
    pub base_url: Option<String>,
    /// Chat model.
    pub model: String,
    /// 0 to 2.
    pub temperature: f32,
    /// Longest answer, in tokens.
    pub max_tokens: u32,
    /// Window of the chat model, in tokens; `None` when it is to be known by its name.
    pub context_tokens: Option<u32>,
    /// Embedding model.
    pub embedding_model: Option<String>,
}

/// The models in this process.
#[derive(Debug, Clone)]
pub struct LocalSettings {
    /// Where their weights are.
    pub models_dir: PathBuf,
    /// Fetch missing weights at start?
    pub pull: bool,
    /// Another GGUF file.
    pub gguf: Option<PathBuf>,
    /// Longest answer, in tokens.
    pub max_tokens: u32,
    /// Window, in tokens.
    pub context_tokens: u32,
    /// Answers at the same time.
    pub concurrent: usize,
}

/// The REST API.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on.
    pub port: u16,
    /// Origins of web clients.
    pub cors_origins: Vec<String>,
    /// Calls per minute and caller; `None` for no limit.
    pub rate_limit: Option<u32>,
    /// Sign-ups and log-ins per minute; `None` for no limit.
    pub login_limit: Option<u32>,
    /// Turns that are answered at once; more are refused.
    pub max_turns: usize,
    /// Peers whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<IpAddr>,
}

/// The database.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// Its address.
    pub url: SecretString,
    /// Connections of the request path.
    pub connections: u32,
    /// Connections of the workers.
    pub worker_connections: u32,
    /// Serve as the owner of the tables?
    pub allow_owner: bool,
    /// Take an unverified connection to another machine?
    pub allow_insecure: bool,
}

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder of database and secrets.
    pub data_dir: PathBuf,
    /// The database.
    pub database: DatabaseSettings,
    /// The Qdrant server that holds the memory index; `None` for the database.
    pub qdrant: Option<QdrantConfig>,
    /// The folder of Qdrant's engine in this process, where that holds the memory index.
    pub qdrant_folder: Option<PathBuf>,
    /// How often the index is compared with the rows; `None` for never.
    pub compare_every: Option<Duration>,
    /// Bring the schema up to date at start?
    pub migrate: bool,
    /// What replicas share in memory; `None` for each its own.
    pub redis_url: Option<SecretString>,
    /// Use a Redis that writes to a disk?
    pub redis_allow_persistence: bool,
    /// Background workers inside `serve`.
    pub workers: usize,
    /// A job that takes longer is given to another worker.
    pub job_lease: Duration,
    /// An answer whose writer gave no sign of life for this long counts as interrupted.
    pub stale_after: Duration,
    /// System prompt; `None` for the built-in one.
    pub instructions: Option<String>,
    /// Who answers.
    pub chat: Provider,
    /// Who embeds.
    pub embeddings: Provider,
    /// The model service.
    pub openai: OpenAiSettings,
    /// The models in this process.
    pub local: LocalSettings,
    /// Tokens and passwords.
    pub auth: AuthSettings,
    /// The REST API.
    pub api: ApiSettings,
    /// Filter of log events.
    pub log_level: String,
    /// JSON lines instead of text?
    pub log_json: bool,
    shown: Vec<(Setting, Option<sources::Raw>)>,
}

impl Settings {
    /// Reads environment, `.env` in the working folder, and the file. On an error: one line per mistake.
    pub fn load(file: Option<&Path>) -> Result<Self, Vec<String>> {
        Self::from_sources(
            file,
            Some(Path::new(".env")),
            std::env::vars_os().filter_map(|(name, value)| {
                Some((
                    name.into_string().ok()?,
                    value.to_string_lossy().into_owned(),
                ))
            }),
        )
    }

    /// The same from given sources, for tests.
    pub fn from_sources(
        file: Option<&Path>,
        dotenv: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Vec<String>> {
        let mut mistakes = Vec::new();
        let values = sources::collect(file, dotenv, environment, &mut mistakes);
        let settings = Reader {
            values: &values,
            mistakes: &mut mistakes,
        }
        .settings();
        if mistakes.is_empty() {
            Ok(settings)
        } else {
            Err(mistakes)
        }
    }

    /// The effective values, one line each, secrets hidden.
    pub fn report(&self) -> String {
        let width = SETTINGS.iter().map(|s| s.name.len()).max().unwrap_or(0);
        let line = |(setting, raw): &(Setting, Option<sources::Raw>)| {
            let (text, from) = match raw {
                Some(raw) if setting.name.ends_with("_URL") => {
                    (place(&raw.text), raw.from.as_str())
                }
                Some(raw) if setting.secret => ("***".to_owned(), raw.from.as_str()),
                Some(raw) => (raw.text.clone(), raw.from.as_str()),
                None => ("-".to_owned(), "not set"),
            };
            format!("{:width$}  {text}  ({from})", setting.name)
        };
        self.shown.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Does the database live in this process's own file?
    pub fn is_sqlite(&self) -> bool {
        self.database.url.expose_secret().starts_with("sqlite:")
    }
}

struct Reader<'a> {
    values: &'a Values,
    mistakes: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn settings(mut self) -> Settings {
        let data_dir = PathBuf::from(
            self.text("MEMORYCHAT_DATA_DIR")
                .unwrap_or_else(|| "./data".to_owned()),
        );
        let models_dir = self
            .text("MEMORYCHAT_MODELS_DIR")
            .map_or_else(|| data_dir.join("models"), PathBuf::from);
        let openai = self.openai();
        let offers_openai = openai.api_key.is_some() || openai.base_url.is_some();
        let chat = self.provider("MEMORYCHAT_CHAT", offers_openai);
        let embeddings = self.provider(
            "MEMORYCHAT_EMBEDDINGS",
            offers_openai && openai.embedding_model.is_some(),
        );
        if embeddings == Provider::OpenAi && openai.embedding_model.is_none() {
            self.mistakes
                .push("MEMORYCHAT_EMBEDDINGS: openai needs OPENAI_EMBEDDING_MODEL".to_owned());
        }
        Settings {
            database: self.database(&data_dir),
            qdrant: self.qdrant(),
            qdrant_folder: self.qdrant_folder(&data_dir),
            compare_every: match self.number("MEMORYCHAT_COMPARE_MINUTES", 0_u64, 100_000) {
                0 => None,
                minutes => Some(Duration::from_mins(minutes)),
            },
            migrate: self.flag("MEMORYCHAT_MIGRATE"),
            redis_url: self.redis_url(),
            redis_allow_persistence: self.flag("REDIS_ALLOW_PERSISTENCE"),
            workers: self.number("MEMORYCHAT_WORKERS", 0, 64),
            job_lease: self.seconds("MEMORYCHAT_JOB_LEASE_SECONDS"),
            stale_after: self.seconds("MEMORYCHAT_STALE_AFTER_SECONDS"),
            instructions: self.text("MEMORYCHAT_INSTRUCTIONS"),
            chat,
            embeddings,
            openai,
            local: self.local(models_dir),
            auth: self.auth(),
            api: self.api(),
            log_level: self.text("LOG_LEVEL").unwrap_or_default(),
            log_json: self.choice("LOG_FORMAT", &["text", "json"]) == "json",
            shown: SETTINGS
                .iter()
                .map(|s| (*s, self.values.get(s.name).cloned()))
                .collect(),
            data_dir,
        }
    }

    fn openai(&mut self) -> OpenAiSettings {
        let base_url = self.text("OPENAI_BASE_URL");
        if base_url
            .as_ref()
            .is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://"))
        {
            self.mistakes
                .push("OPENAI_BASE_URL: must begin with http:// or https://".to_owned());
        }
        OpenAiSettings {
            api_key: self.secret("OPENAI_API_KEY"),
            base_url,
            model: self.text("OPENAI_MODEL").unwrap_or_default(),
            temperature: self.number("OPENAI_TEMPERATURE", 0.0, 2.0),
            max_tokens: self.number("OPENAI_MAX_TOKENS", 1, 1_000_000),
            context_tokens: self.optional("OPENAI_CONTEXT_TOKENS", 256, 10_000_000),
            embedding_model: self.text("OPENAI_EMBEDDING_MODEL"),
        }
    }

    fn local(&mut self, models_dir: PathBuf) -> LocalSettings {
        LocalSettings {
            models_dir,
            pull: self.flag("MEMORYCHAT_MODELS_PULL"),
            gguf: self.text("MEMORYCHAT_LOCAL_MODEL").map(PathBuf::from),
            max_tokens: self.number("MEMORYCHAT_LOCAL_MAX_TOKENS", 1, 100_000),
            context_tokens: self.number("MEMORYCHAT_LOCAL_CONTEXT_TOKENS", 256, 1_000_000),
            concurrent: self.number("MEMORYCHAT_LOCAL_CONCURRENT", 1, 64),
        }
    }

    fn api(&mut self) -> ApiSettings {
        let limited = self.flag("RATE_LIMIT_ENABLED");
        let rate_limit: u32 = self.number("RATE_LIMIT_PER_MINUTE", 1, 1_000_000);
        let login_limit: u32 = self.number("LOGIN_LIMIT_PER_MINUTE", 1, 1_000_000);
        ApiSettings {
            host: self
                .parsed("MEMORYCHAT_HOST", "an IP address")
                .unwrap_or(IpAddr::from([127, 0, 0, 1])),
            port: self.number("MEMORYCHAT_PORT", 0, u16::MAX),
            cors_origins: self.origins(),
            rate_limit: limited.then_some(rate_limit),
            login_limit: limited.then_some(login_limit),
            max_turns: self.number("MEMORYCHAT_MAX_TURNS", 1, 100_000),
            trusted_proxies: self.addresses("MEMORYCHAT_TRUSTED_PROXIES"),
        }
    }

    fn database(&mut self, data_dir: &Path) -> DatabaseSettings {
        DatabaseSettings {
            url: self.database_url(data_dir),
            connections: self.number("DATABASE_CONNECTIONS", 2, 1000),
            worker_connections: self.number("DATABASE_WORKER_CONNECTIONS", 1, 1000),
            allow_owner: self.flag("DATABASE_ALLOW_OWNER"),
            allow_insecure: self.flag("DATABASE_ALLOW_INSECURE"),
        }
    }

    fn database_url(&mut self, data_dir: &Path) -> SecretString {
        let url = self.text("DATABASE_URL");
        let known = ["sqlite:", "postgres://", "postgresql://"];
        if url
            .as_ref()
            .is_some_and(|url| !known.iter().any(|scheme| url.starts_with(scheme)))
        {
            self.mistakes
                .push("DATABASE_URL: must begin with sqlite:// or postgres://".to_owned());
        }
        url.unwrap_or_else(|| format!("sqlite://{}", data_dir.join("memorychat.db").display()))
            .into()
    }

    fn redis_url(&mut self) -> Option<SecretString> {
        let url = self.text("REDIS_URL")?;
        if !url.starts_with("redis://") && !url.starts_with("rediss://") {
            self.mistakes
                .push("REDIS_URL: must begin with redis:// or rediss://".to_owned());
        }
        Some(url.into())
    }

    fn origins(&mut self) -> Vec<String> {
        let origins = self.list("CORS_ORIGINS");
        for origin in &origins {
            let host = origin
                .strip_prefix("http://")
                .or_else(|| origin.strip_prefix("https://"));
            if host.is_none_or(|host| host.is_empty() || host.contains(['/', '*'])) {
                self.mistakes.push(format!(
                    "CORS_ORIGINS: '{origin}' is no origin; write scheme and host, such as https://chat.example.org"
                ));
            }
        }
        origins
    }

    fn addresses(&mut self, name: &'static str) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        for text in self.list(name) {
            match text.parse() {
                Ok(address) => addresses.push(address),
                Err(_) => self
                    .mistakes
                    .push(format!("{name}: '{text}' is no IP address")),
            }
        }
        addresses
    }

    fn text(&self, name: &'static str) -> Option<String> {
        self.values.get(name).map(|raw| raw.text.clone())
    }

    fn secret(&self, name: &'static str) -> Option<SecretString> {
        self.text(name).map(SecretString::from)
    }

    fn list(&self, name: &'static str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',')
            .map(|item| item.trim().trim_end_matches('/').to_owned())
            .filter(|i| !i.is_empty())
            .collect()
    }

    fn provider(&mut self, name: &'static str, auto_is_openai: bool) -> Provider {
        match self.choice(name, &["auto", "openai", "local"]).as_str() {
            "openai" => Provider::OpenAi,
            "auto" if auto_is_openai => Provider::OpenAi,
            _ => Provider::Local,
        }
    }

    fn choice(&mut self, name: &'static str, words: &[&str]) -> String {
        let text = self.text(name).unwrap_or_default();
        if !words.contains(&text.as_str()) {
            self.mistakes.push(format!(
                "{name}: '{text}' is not one of {}",
                words.join(", ")
            ));
        }
        text
    }

    fn flag(&mut self, name: &'static str) -> bool {
        let text = self.text(name).unwrap_or_default().to_lowercase();
        match text.as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => {
                self.mistakes
                    .push(format!("{name}: '{text}' is neither true nor false"));
                false
            }
        }
    }

    fn number<T>(&mut self, name: &'static str, least: T, most: T) -> T
    where
        T: FromStr + PartialOrd + Copy + std::fmt::Display,
    {
        self.optional(name, least, most).unwrap_or(least)
    }

    fn optional<T>(&mut self, name: &'static str, least: T, most: T) -> Option<T>
    where
        T: FromStr + PartialOrd + Copy + std::fmt::Display,
    {
        let text = self.text(name)?;
        match text.parse::<T>() {
            Ok(number) if number >= least && number <= most => Some(number),
            _ => {
                self.mistakes.push(format!(
                    "{name}: '{text}' is not a number from {least} to {most}"
                ));
                None
            }
        }
    }

    fn seconds(&mut self, name: &'static str) -> Duration {
        Duration::from_secs(self.number(name, 1, 86_400))
    }

    fn parsed<T: FromStr>(&mut self, name: &'static str, what: &str) -> Option<T> {
        let text = self.text(name)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.mistakes
                .push(format!("{name}: '{text}' is not {what}"));
        }
        parsed
    }
}
