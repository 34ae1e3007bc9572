//! The one list of settings: name, default and meaning. The README's table is made from it.

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name: an environment variable, or a key of the settings file in either case.
    pub name: &'static str,
    /// What holds when it is not given; empty for none.
    pub default: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// May its value be shown?
    pub secret: bool,
}

const fn plain(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting {
        name,
        default,
        help,
        secret: false,
    }
}

const fn secret(name: &'static str, help: &'static str) -> Setting {
    Setting {
        name,
        default: "",
        help,
        secret: true,
    }
}

/// Every setting, in the order in which they are shown.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    plain("MEMORYCHAT_HOST", "127.0.0.1", "address to listen on"),
    plain("MEMORYCHAT_PORT", "8000", "port to listen on; 0 takes a free one"),
    plain("MEMORYCHAT_DATA_DIR", "./data", "folder of the database and the secrets"),
    plain("MEMORYCHAT_MODELS_DIR", "", "folder of the local models; default: `models` in the data folder"),
    plain("MEMORYCHAT_MODELS_PULL", "true", "fetch missing local models at start"),
    plain("MEMORYCHAT_CHAT", "auto", "who answers: `auto` (OpenAI when a key or base URL is set), `openai`, `local`"),
    plain("MEMORYCHAT_EMBEDDINGS", "auto", "who embeds: `auto` (local unless an OpenAI embedding model is named), `openai`, `local`"),
    plain("MEMORYCHAT_LOCAL_MODEL", "", "path of another GGUF file of the SmolLM2 family, for local chat"),
    plain("MEMORYCHAT_LOCAL_MAX_TOKENS", "256", "longest local answer, in tokens"),
    plain("MEMORYCHAT_LOCAL_CONTEXT_TOKENS", "2048", "window of the local chat model, in tokens"),
    plain("MEMORYCHAT_LOCAL_CONCURRENT", "1", "local answers written at the same time"),
    plain("MEMORYCHAT_INSTRUCTIONS", "", "system prompt; default: a short neutral one"),
    plain("MEMORYCHAT_MAX_TURNS", "512", "questions that one process answers at the same time; more are refused with 503"),
    plain("MEMORYCHAT_WORKERS", "2", "background workers inside `serve`; 0 leaves the work to `memorychat worker`"),
    plain("MEMORYCHAT_JOB_LEASE_SECONDS", "300", "a job that takes longer than this is given to another worker"),
    plain("MEMORYCHAT_STALE_AFTER_SECONDS", "120", "an answer that nobody has written on for this long counts as interrupted; more than the model service may be silent"),
    plain("MEMORYCHAT_COMPARE_MINUTES", "60", "how often the workers compare index and database, at start first; 0 for never"),
    plain("MEMORYCHAT_MIGRATE", "true", "bring the database schema up to date at start"),
    plain("MEMORYCHAT_TRUSTED_PROXIES", "", "addresses, separated by commas, whose X-Forwarded-For is believed"),
    secret("MEMORYCHAT_PASSWORD_KEY", "key of the password pre-hash, 32 characters or more; default: made at first start, in the data folder"),
    secret("DATABASE_URL", "`sqlite://path` or `postgres://...`; default: SQLite in the data folder"),
    plain("DATABASE_CONNECTIONS", "8", "connections of the requests to the database, at most"),
    plain("DATABASE_WORKER_CONNECTIONS", "4", "connections of the background workers to Postgres, at most"),
    plain("DATABASE_ALLOW_OWNER", "false", "serve although `DATABASE_URL` logs in as an owner or superuser of Postgres"),
    plain("DATABASE_ALLOW_INSECURE", "false", "take a connection to a Postgres elsewhere that TLS does not verify"),
    plain("MEMORYCHAT_INDEX", "auto", "where the memory index is: `auto` (a Qdrant server when `QDRANT_URL` is set, else the database), `embedded-qdrant` (Qdrant's engine in this process, if built with it)"),
    plain("QDRANT_URL", "", "gRPC address of a Qdrant server for the memory index; default: the database holds the index"),
    secret("QDRANT_API_KEY", "key of the Qdrant server"),
    plain("QDRANT_COLLECTION", "memorychat", "alias of the collection that serves"),
    plain("QDRANT_SHARDS", "", "shards of a new collection; default: the server's"),
    plain("QDRANT_REPLICATION", "", "copies of each shard of a new collection; default: the server's"),
    plain("QDRANT_ON_DISK", "true", "keep vectors and payloads of a new collection on disk"),
    plain("QDRANT_ALLOW_INSECURE", "false", "use a Qdrant server on another machine without a key or TLS"),
    secret("REDIS_URL", "`redis://` or, with TLS, `rediss://`: limits and incognito sessions shared by all replicas; default: each replica has its own"),
    plain("REDIS_ALLOW_PERSISTENCE", "false", "use a Redis that writes to a disk, where incognito turns may then be found"),
    secret("OPENAI_API_KEY", "key of the model service"),
    plain("OPENAI_BASE_URL", "", "any OpenAI-compatible service; default: OpenAI's own"),
    plain("OPENAI_MODEL", "gpt-4o-mini", "chat model of the service"),
    plain("OPENAI_TEMPERATURE", "0.7", "0 to 2"),
    plain("OPENAI_MAX_TOKENS", "1000", "longest answer, in tokens"),
    plain("OPENAI_CONTEXT_TOKENS", "", "window of the chat model, in tokens; default: known by its name"),
    plain("OPENAI_EMBEDDING_MODEL", "", "embedding model of the service"),
    secret("JWT_SECRET_KEY", "secret that signs tokens, 32 characters or more; default: made at first start, in the data folder"),
    plain("JWT_ALGORITHM", "HS256", "`HS256`, `HS384` or `HS512`"),
    plain("JWT_EXPIRATION_MINUTES", "60", "life of an access token"),
    plain("SUPABASE_URL", "", "address of a Supabase project, whose Auth then keeps the accounts"),
    plain("SUPABASE_AUTH_PATH", "/auth/v1", "where Auth is below that address; `/` for one without a gateway before it"),
    plain("SUPABASE_ISSUER", "", "what its tokens say in `iss`; default: the address of Auth"),
    secret("SUPABASE_KEY", "its publishable key, or the `anon` key of old"),
    secret("SUPABASE_SERVICE_KEY", "its secret key, or the `service_role` key of old"),
    secret("SUPABASE_JWT_SECRET", "shared secret of its HS256 tokens; default: Supabase is asked about each of them"),
    plain("SUPABASE_CHECK_SESSIONS", "false", "ask Supabase about each token once a minute, so that a log-out elsewhere counts here too"),
    plain("SUPABASE_ALLOW_ANONYMOUS", "false", "let its anonymous users in"),
    plain("CORS_ORIGINS", "http://localhost:5173,http://localhost:3000,http://localhost:8000", "origins of web clients, separated by commas"),
    plain("RATE_LIMIT_ENABLED", "true", "limit the rate of calls"),
    plain("RATE_LIMIT_PER_MINUTE", "60", "calls per minute and caller"),
    plain("LOGIN_LIMIT_PER_MINUTE", "10", "sign-ups and log-ins per minute, per address and per account"),
    plain("LOG_LEVEL", "info", "`error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,adapter_http=debug`"),
    plain("LOG_FORMAT", "text", "`text` or `json`"),
];

/// The settings as a Markdown table.
pub fn markdown() -> String {
    let head = "| setting | default | meaning |\n| --- | --- | --- |\n";
    let row = |Setting {
                   name,
                   default,
                   help,
                   ..
               }: &Setting| match *default {
        "" => format!("| `{name}` | | {help} |\n"),
        default => format!("| `{name}` | `{default}` | {help} |\n"),
    };
    SETTINGS
        .iter()
        .fold(head.to_owned(), |table, setting| table + &row(setting))
}
