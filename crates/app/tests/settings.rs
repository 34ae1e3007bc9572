//! Settings: sources, defaults, and one clear line per mistake.

use std::io::Write;

use memorychat::settings::{Provider, SETTINGS, Settings};
use secrecy::ExposeSecret;

fn load(environment: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let pairs = environment
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    Settings::from_sources(None, None, pairs)
}

#[test]
fn nothing_needs_to_be_set() {
    let settings = load(&[]).expect("defaults");
    assert_eq!(settings.api.port, 8000);
    assert_eq!(settings.api.rate_limit, Some(60));
    assert_eq!(
        (settings.chat, settings.embeddings),
        (Provider::Local, Provider::Local)
    );
    assert_eq!(
        settings.database.url.expose_secret(),
        "sqlite://./data/memorychat.db"
    );
    assert_eq!(settings.openai.model, "gpt-4o-mini");
    assert!(settings.is_sqlite());
}

#[test]
fn a_key_or_a_base_url_chooses_the_service_but_embeddings_stay_local() {
    for pair in [
        ("OPENAI_API_KEY", "sk-1"),
        ("OPENAI_BASE_URL", "http://localhost:1/v1"),
    ] {
        let settings = load(&[pair]).expect("good");
        assert_eq!(
            (settings.chat, settings.embeddings),
            (Provider::OpenAi, Provider::Local),
            "{pair:?}"
        );
        let both = load(&[pair, ("OPENAI_EMBEDDING_MODEL", "e")]).expect("good");
        assert_eq!(both.embeddings, Provider::OpenAi);
        let forced = load(&[pair, ("MEMORYCHAT_CHAT", "local")]).expect("good");
        assert_eq!(forced.chat, Provider::Local);
    }
}

#[cfg(not(feature = "embedded-qdrant"))]
#[test]
fn an_engine_that_is_not_built_in_is_refused_with_the_way_to_build_it() {
    let mistakes = load(&[("MEMORYCHAT_INDEX", "embedded-qdrant")]).expect_err("not built in");
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert!(mistakes[0].contains("--features embedded-qdrant"));
    assert!(!mistakes[0].contains('\n'), "one line");
}

#[cfg(feature = "embedded-qdrant")]
#[test]
fn the_engine_has_a_folder_in_the_data_folder_and_no_server_beside_it() {
    let chosen = ("MEMORYCHAT_INDEX", "embedded-qdrant");
    let folder = load(&[chosen]).expect("good").qdrant_folder;
    assert_eq!(folder.as_deref(), Some("./data/qdrant".as_ref()));
    let mistakes = load(&[chosen, ("QDRANT_URL", "http://localhost:6334")]);
    assert_eq!(mistakes.expect_err("both").len(), 1);
}

#[test]
fn the_index_is_where_it_always_was_unless_told_otherwise() {
    assert_eq!(load(&[]).expect("good").qdrant_folder, None);
    let server = ("QDRANT_URL", "http://localhost:6334");
    let settings = load(&[("MEMORYCHAT_INDEX", "auto"), server]).expect("good");
    assert!(settings.qdrant.is_some() && settings.qdrant_folder.is_none());
    assert!(load(&[("MEMORYCHAT_INDEX", "nowhere")]).is_err());
}

#[test]
fn supabase_needs_address_and_key() {
    let url = ("SUPABASE_URL", "https://abc.supabase.co");
    let key = ("SUPABASE_KEY", "sb_publishable_x");
    let settings = load(&[url, key]).expect("good");
    let project = settings.auth.supabase.expect("a project");
    assert_eq!(project.url, url.1);
    assert!(!project.allow_anonymous && !project.check_sessions);
    assert_eq!(
        (project.auth_path.as_str(), project.issuer),
        ("/auth/v1", None)
    );
    assert!(load(&[]).expect("good").auth.supabase.is_none());
    let mistakes = load(&[key]).expect_err("no address");
    assert!(mistakes[0].starts_with("SUPABASE_KEY"), "{mistakes:?}");
    let secret = "qV7f0sLx-TzM7bWcJ4hRy8GdNf2PaEkq3V";
    let same = [("JWT_SECRET_KEY", secret), ("SUPABASE_JWT_SECRET", secret)];
    let mistakes = load(&[url, key, same[0], same[1]]).expect_err("one secret for both");
    assert_eq!(
        mistakes,
        ["SUPABASE_JWT_SECRET: must differ from JWT_SECRET_KEY"]
    );
}

#[test]
fn each_mistake_is_one_line_that_names_the_setting() {
    let wrong = [
        ("MEMORYCHAT_PORT", "eighty"),
        ("MEMORYCHAT_HOST", "localhost"),
        ("MEMORYCHAT_CHAT", "claude"),
        ("OPENAI_TEMPERATURE", "3"),
        ("OPENAI_MAX_TOKENS", "0"),
        ("OPENAI_BASE_URL", "localhost:1234"),
        ("DATABASE_URL", "mysql://x"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_ALLOW_PERSISTENCE", "perhaps"),
        ("JWT_ALGORITHM", "none"),
        ("JWT_EXPIRATION_MINUTES", "-1"),
        ("CORS_ORIGINS", "*"),
        ("RATE_LIMIT_ENABLED", "perhaps"),
        ("LOG_FORMAT", "xml"),
        ("MEMORYCHAT_TRUSTED_PROXIES", "proxy"),
        ("SUPABASE_ALLOW_ANONYMOUS", "perhaps"),
        ("SUPABASE_CHECK_SESSIONS", "perhaps"),
        ("SUPABASE_URL", "https://abc.supabase.co"),
    ];
    for pair in wrong {
        let mistakes = load(&[pair]).expect_err("a mistake");
        assert_eq!(mistakes.len(), 1, "{pair:?}: {mistakes:?}");
        assert!(
            mistakes[0].starts_with(pair.0) && !mistakes[0].contains('\n'),
            "{mistakes:?}"
        );
    }
    assert_eq!(
        load(&wrong).expect_err("mistakes").len(),
        wrong.len(),
        "all at once"
    );
}

#[test]
fn a_misspelt_name_is_told_with_the_nearest_one() {
    let mistakes = load(&[("MEMORYCHAT_PROT", "1")]).expect_err("a mistake");
    assert_eq!(
        mistakes,
        ["MEMORYCHAT_PROT: no such setting, in the environment; did you mean MEMORYCHAT_PORT?"]
    );
}

#[test]
fn environment_wins_over_dotenv_and_dotenv_over_the_file() {
    let folder = tempfile::tempdir().expect("folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::File::create(&path)
            .and_then(|mut f| f.write_all(text.as_bytes()))
            .expect("written");
        path
    };
    let file = write(
        "c.toml",
        "memorychat_port = 1\nopenai_model = \"a\"\nLOG_FORMAT = \"json\"\ncors_origins = [\"http://a\", \"http://b\"]\n",
    );
    let dotenv = write(".env", "MEMORYCHAT_PORT=2\nOPENAI_MODEL=b\n");
    let environment = [("MEMORYCHAT_PORT".to_owned(), "3".to_owned())];
    let settings =
        Settings::from_sources(Some(&file), Some(&dotenv), environment.into_iter()).expect("good");
    assert_eq!(
        (
            settings.api.port,
            settings.openai.model.as_str(),
            settings.log_json
        ),
        (3, "b", true)
    );
    assert_eq!(settings.api.cors_origins, ["http://a", "http://b"]);

    let bad = write("bad.toml", "memorychat_prt = 1\n");
    assert!(Settings::from_sources(Some(&bad), None, std::iter::empty()).is_err());
    let broken = write("broken.toml", "a = [\n");
    let mistakes =
        Settings::from_sources(Some(&broken), None, std::iter::empty()).expect_err("a mistake");
    assert!(mistakes[0].contains("broken.toml: line"), "{mistakes:?}");
    assert!(
        Settings::from_sources(
            Some(&folder.path().join("no.toml")),
            None,
            std::iter::empty()
        )
        .is_err()
    );
}

#[test]
fn the_report_hides_secrets() {
    let secret = "0123456789abcdef0123456789abcdef-very-secret";
    for setting in SETTINGS
        .iter()
        .filter(|s| s.secret && !s.name.ends_with("_URL"))
    {
        let mut set = vec![(setting.name, secret)];
        if setting.name == "SUPABASE_KEY" {
            set.push(("SUPABASE_URL", "https://abc.supabase.co"));
        }
        let report = load(&set).expect("good").report();
        assert!(
            report.contains(setting.name) && !report.contains("very-secret"),
            "{report}"
        );
    }
}

/// Where a password can stand in an address, and what may be shown of it.
const ADDRESSES: [(&str, &str); 10] = [
    (
        "postgres://u:very-secret@db:5432/x",
        "postgres://***@db:5432/x",
    ),
    (
        "postgres://u@db/x?password=very-secret",
        "postgres://***@db/x?***",
    ),
    (
        "postgres://db/x?user=u&sslpassword=very-secret",
        "postgres://db/x?***",
    ),
    (
        "postgres://u@db/x?password=very@secret",
        "postgres://***?***",
    ),
    ("postgres://u:very/secret@db/x", "postgres://***@db/x"),
    ("postgres://u:very?secret@db/x", "postgres://***?***"),
    ("postgres://u:very#secret@db/x", "postgres://***?***"),
    ("postgres://u:very@secret@db/x", "postgres://***@db/x"),
    ("postgres://db/x", "postgres://db/x"),
    ("sqlite://very-plain.db", "sqlite://very-plain.db"),
];

#[test]
fn no_form_of_an_address_shows_a_password() {
    let report = |name, url| load(&[(name, url)]).expect("good").report();
    for (url, shown) in ADDRESSES {
        let report = report("DATABASE_URL", url);
        assert!(!report.contains("secret"), "{url}: {report}");
        assert!(report.contains(&format!("  {shown}  (")), "{url}: {report}");
    }
    let others = [
        ("REDIS_URL", "rediss://:very-secret@db:6379/0"),
        ("REDIS_URL", "redis://db:6379/?password=very-secret"),
        ("QDRANT_URL", "http://u:very-secret@localhost:6334"),
        ("QDRANT_URL", "http://localhost:6334/?api_key=very-secret"),
        ("OPENAI_BASE_URL", "http://u:very-secret@models/v1"),
        ("OPENAI_BASE_URL", "http://models/v1?key=very-secret"),
    ];
    for (name, url) in others {
        // One that is refused is not shown at all.
        let shown = match load(&[(name, url)]) {
            Ok(settings) => settings.report(),
            Err(mistakes) => mistakes.join("\n"),
        };
        assert!(!shown.contains("very-secret"), "{url}: {shown}");
    }
}

#[test]
fn a_qdrant_server_elsewhere_needs_a_key_and_tls_unless_told_otherwise() {
    assert!(load(&[]).expect("defaults").qdrant.is_none());
    let here = load(&[("QDRANT_URL", "http://localhost:6334")]).expect("good");
    assert_eq!(here.qdrant.expect("named").collection, "memorychat");
    let there = ("QDRANT_URL", "http://qdrant.internal:6334");
    let mistakes = load(&[there]).expect_err("a mistake");
    assert_eq!(
        mistakes,
        ["QDRANT_URL: a server on another machine needs https, or QDRANT_ALLOW_INSECURE=true"]
    );
    let secure = ("QDRANT_URL", "https://qdrant.internal:6334");
    let mistakes = load(&[secure]).expect_err("a mistake");
    assert!(mistakes[0].starts_with("QDRANT_URL: a server on another machine needs a key"));
    assert!(load(&[secure, ("QDRANT_API_KEY", "k")]).is_ok());
    assert!(load(&[there, ("QDRANT_ALLOW_INSECURE", "true")]).is_ok());
    for pair in [
        ("QDRANT_COLLECTION", "a/b"),
        ("QDRANT_SHARDS", "0"),
        ("QDRANT_API_KEY", "a b"),
    ] {
        let mistakes = load(&[("QDRANT_URL", "http://localhost:1"), pair]).expect_err("a mistake");
        assert!(
            mistakes.len() == 1 && mistakes[0].starts_with(pair.0),
            "{mistakes:?}"
        );
    }
}
