//! The one secret of an installation, and the keys derived from it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha512;

use crate::token::TokenAlgorithm;

const MIN_BYTES: usize = 32;
const FILE_NAME: &str = "signing.key";
/// Longer than any key; keeps a wrong file from being read whole.
const MAX_FILE_BYTES: u64 = 4096;

/// What people copy out of examples, in lower case and without punctuation. The last one is the key
/// of a widely copied tutorial.
const SAMPLE_WORDS: [&str; 12] = [
    "secret",
    "changeme",
    "changethis",
    "replaceme",
    "replacethis",
    "password",
    "example",
    "placeholder",
    "insecure",
    "yourkey",
    "12345678",
    "09d25e094faa6ca2556c818166b7a956",
];

/// The secret that all keys of an installation come from. It cannot be printed, and its text is not
/// kept.
#[derive(Clone)]
pub struct SigningSecret {
    root: Hmac<Sha512>,
}

/// Why a text is no signing secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Too short, or empty.
    #[error("is shorter than {MIN_BYTES} bytes")]
    Short,
    /// Copied from an example, or a pattern.
    #[error("is a well-known sample value or a repeated pattern")]
    Sample,
}

/// Why there is no signing secret; each is one line for the person who starts the service.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The setting is no good.
    #[error("the signing secret {0}; `openssl rand -base64 48` prints a good one")]
    Setting(Weakness),
    /// The key file is no good.
    #[error("the signing key in {} {weakness}; restore the file, or delete it to start over \
             (stored passwords and log-ins then stop working)", path.display())]
    File {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        weakness: Weakness,
    },
    /// Other accounts of this machine can read the key file.
    #[error("the signing key can be read by others; run: chmod 600 '{}'", path.display())]
    ReadableByOthers {
        /// The key file.
        path: PathBuf,
    },
    /// The key file can be neither read nor made.
    #[error("cannot use the signing key {}", path.display())]
    Io {
        /// The key file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// What a derived key is for. The label is the key's name: changing one invalidates all that was
/// made with it.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    AccessToken(TokenAlgorithm),
    RefreshToken,
    PasswordPepper,
    CallCounts,
}

impl Purpose {
    const fn label(self) -> &'static str {
        match self {
            Self::AccessToken(TokenAlgorithm::Hs256) => "memorychat/1/access/HS256",
            Self::AccessToken(TokenAlgorithm::Hs384) => "memorychat/1/access/HS384",
            Self::AccessToken(TokenAlgorithm::Hs512) => "memorychat/1/access/HS512",
            Self::RefreshToken => "memorychat/1/refresh",
            Self::PasswordPepper => "memorychat/1/password",
            Self::CallCounts => "memorychat/1/limits",
        }
    }
}

impl SigningSecret {
    /// The secret from a setting. Refuses what is short, or looks copied from an example.
    pub fn from_setting(text: &str) -> Result<Self, SecretError> {
        Self::parse(text).map_err(SecretError::Setting)
    }

    /// The secret kept in `signing.key` in the data folder, which must exist. Without the file, one
    /// with 48 random bytes is made that only its owner can read; of several processes that do so at
    /// once, all end with the same. A file that others can read is refused.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, SecretError> {
        let path = data_dir.join(FILE_NAME);
        let text = match read_private(&path) {
            Err(SecretError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                create(&path).map_err(|source| SecretError::Io {
                    path: path.clone(),
                    source,
                })?;
                read_private(&path)?
            }
            other => other?,
        };
        Self::parse(text.expose_secret()).map_err(|weakness| SecretError::File { path, weakness })
    }

    /// The key under which replicas hash whose calls they count together.
    pub fn limits_key(&self) -> [u8; 64] {
        self.derive(Purpose::CallCounts)
    }

    /// The key for one purpose; 64 bytes, the longest that any of them asks for.
    pub(crate) fn derive(&self, purpose: Purpose) -> [u8; 64] {
        self.root
            .clone()
            .chain_update(purpose.label())
            .finalize()
            .into_bytes()
            .into()
    }

    fn parse(text: &str) -> Result<Self, Weakness> {
        let text = text.trim();
        if text.len() < MIN_BYTES {
            return Err(Weakness::Short);
        }
        if is_sample(text) {
            return Err(Weakness::Sample);
        }
        // The length was checked above, and this function takes any.
        let root = Hmac::new_from_slice(text.as_bytes()).map_err(|_| Weakness::Short)?;
        Ok(Self { root })
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(..)")
    }
}

/// Random text passes: to hold one of the words by chance is less likely than one in a million.
fn is_sample(text: &str) -> bool {
    let plain: String = text
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    SAMPLE_WORDS.iter().any(|word| plain.contains(word)) || is_pattern(text.as_bytes())
}

/// Few different bytes, or one piece over and over.
fn is_pattern(bytes: &[u8]) -> bool {
    let mut different = bytes.to_vec();
    different.sort_unstable();
    different.dedup();
    different.len() < 8
        || (1..=bytes.len() / 2)
            .any(|length| bytes.chunks(length).all(|piece| bytes.starts_with(piece)))
}

fn read_private(path: &Path) -> Result<SecretString, SecretError> {
    let io = |source| SecretError::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(io)?;
    if others_can_read(&file).map_err(io)? {
        return Err(SecretError::ReadableByOthers {
            path: path.to_owned(),
        });
    }
    let mut text = String::new();
    file.take(MAX_FILE_BYTES)
        .read_to_string(&mut text)
        .map_err(io)?;
    Ok(text.into())
}

#[cfg(unix)]
fn others_can_read(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(file.metadata()?.permissions().mode() & 0o077 != 0)
}

/// Where there are no such modes, the folder's own protection has to do.
#[cfg(not(unix))]
fn others_can_read(_: &File) -> io::Result<bool> {
    Ok(false)
}

/// Makes the file whole or not at all: a draft is written first, and takes its name only if nobody
/// has by then.
fn create(path: &Path) -> io::Result<()> {
    let mut key = [0; 48];
    let mut draft_id = [0; 8];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    getrandom::fill(&mut draft_id).map_err(io::Error::other)?;
    let draft = path.with_extension(format!("{}.new", hex::encode(draft_id)));

    let text = SecretString::from(URL_SAFE_NO_PAD.encode(key));
    let made =
        write_private(&draft, text.expose_secret()).and_then(|()| fs::hard_link(&draft, path));
    let removed = fs::remove_file(&draft);
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => removed.and_then(|()| sync_folder_of(path)),
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

/// The key must not be lost to a power cut after the first password was hashed with it.
#[cfg(unix)]
fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Folders cannot be synced where they cannot be opened.
#[cfg(not(unix))]
fn sync_folder_of(_: &Path) -> io::Result<()> {
    Ok(())
}
