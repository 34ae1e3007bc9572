//! Where tests keep model weights, so that they are downloaded once and not once per test.

use std::path::{Path, PathBuf};

/// The folder for weights: `MEMORYCHAT_TEST_MODELS`, or `target/test-models` in the workspace. It may
/// be empty or missing; whoever needs weights pulls them into it.
pub fn test_models_dir() -> PathBuf {
    std::env::var_os("MEMORYCHAT_TEST_MODELS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-models"),
        PathBuf::from,
    )
}
