//! The wire to Postgres: encrypted, and to the server that was meant, or not at all.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::error::Error;
use std::path::PathBuf;

use adapter_sql::{SqlConfig, SqlStore};
use domain::store::StoreError;
use sea_orm::{ConnectionTrait, Statement};
use tempfile::TempDir;
use testkit::certificates::Authority;
use testkit::servers::Postgres;

/// An address that Linux takes to this machine, and the program to be another one.
const ELSEWHERE: &str = "0.0.0.0";

const UNENCRYPTED: &str = "select count(*) from pg_stat_ssl join pg_stat_activity using (pid) \
    where application_name = 'memorychat' and not ssl";

/// An authority, and the file that names it.
struct Trust {
    authority: Authority,
    folder: TempDir,
}

impl Trust {
    fn new() -> Self {
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("authority.pem"), authority.pem()).unwrap();
        Self { authority, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Options of an address that trusts this authority.
    fn option(&self) -> String {
        format!("sslrootcert={}", self.file().display())
    }
}

fn url(host: &str, server: &Postgres, options: &[&str]) -> String {
    let options = options.join("&");
    format!(
        "postgres://postgres:s3cret@{host}:{}/postgres?{options}",
        server.port()
    )
}

/// Why nothing comes of this address.
async fn refusal(url: String) -> String {
    match SqlStore::connect(&SqlConfig::new(url)).await {
        Err(StoreError::Unavailable(cause)) => cause.to_string(),
        Err(other) => panic!("{other}: {:?}", other.source()),
        Ok(_) => panic!("it connects"),
    }
}

#[tokio::test]
async fn the_right_server_is_spoken_to_in_secret_by_every_connection() {
    let trust = Trust::new();
    let Some(server) = Postgres::with_tls(&trust.authority.certify("localhost")) else {
        return;
    };
    let trusting = trust.option();
    let named = url("localhost", &server, &["sslmode=verify-full", &trusting]);
    check_secrecy(&named).await;
    // To another machine the same holds without a word about it.
    server.present(&trust.authority.certify(ELSEWHERE));
    check_secrecy(&url(ELSEWHERE, &server, &[&trusting])).await;
}

async fn check_secrecy(url: &str) {
    let store = SqlStore::connect(&SqlConfig::new(url)).await.unwrap();
    store.for_workers().ping().await.unwrap();
    let db = store.connection();
    let ask = async |sql: &str| {
        let statement = Statement::from_string(db.get_database_backend(), sql);
        db.query_one_raw(statement).await.unwrap().unwrap()
    };
    let own = ask("select ssl from pg_stat_ssl where pid = pg_backend_pid()").await;
    assert!(own.try_get_by_index::<bool>(0).unwrap(), "{url}");
    let plain: i64 = ask(UNENCRYPTED).await.try_get_by_index(0).unwrap();
    assert_eq!(plain, 0, "{url}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_server_that_proves_nothing_is_refused_with_the_way_out() {
    let (trust, stranger) = (Trust::new(), Trust::new());
    let Some(server) = Postgres::with_tls(&stranger.authority.certify(ELSEWHERE)) else {
        return;
    };
    let trusting = trust.option();
    for (certificate, way_out) in [
        (
            trust.authority.certify("db.example.org"),
            "the name it was made for",
        ),
        (
            trust.authority.certify_in_the_past(ELSEWHERE),
            "has expired; renew it",
        ),
        (stranger.authority.certify(ELSEWHERE), "sslrootcert=FILE"),
    ] {
        server.present(&certificate);
        for mode in ["application_name=x", "sslmode=verify-full"] {
            let why = refusal(url(ELSEWHERE, &server, &[mode, &trusting])).await;
            assert!(why.contains(way_out), "{why}");
            assert!(!why.contains("s3cret"), "{why}");
        }
    }
    // Without a word about an authority, those of the web are asked, and do not know it either.
    let why = refusal(url(ELSEWHERE, &server, &[])).await;
    assert!(why.contains("sslrootcert=FILE"), "{why}");
    let missing = refusal(url(ELSEWHERE, &server, &["sslrootcert=/nowhere.pem"])).await;
    assert!(missing.contains("sslrootcert"), "{missing}");
}

#[tokio::test]
async fn a_server_without_tls_is_never_spoken_to_in_the_clear() {
    let Some(server) = Postgres::new() else {
        return;
    };
    let trusting = Trust::new().option();
    for (host, options) in [
        (ELSEWHERE, vec![]),
        (ELSEWHERE, vec!["sslmode=verify-full"]),
        (ELSEWHERE, vec!["sslmode=prefer"]),
        ("localhost", vec!["sslmode=verify-full", &trusting]),
    ] {
        let why = refusal(url(host, &server, &options)).await;
        assert!(why.contains("ssl = on"), "{why}");
        assert!(why.contains("DATABASE_ALLOW_INSECURE=true"), "{why}");
        assert!(!why.contains("s3cret"), "{why}");
    }
}
