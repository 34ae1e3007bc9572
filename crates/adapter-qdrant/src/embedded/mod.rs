//! The memory index by Qdrant's own engine, in this process (cargo feature `embedded-qdrant`).
//!
//! # What is where
//! A folder of its own, for one process at a time: `lock` keeps others out, `serving` names the collection
//! that serves (as the alias does on a server), and each collection is a folder `memorychat-N`: the
//! engine's files, and `space.json` with the embedding model. A rebuild fills the next folder; finishing it
//! renames one small file, so after a crash it is either the old index or the new one.
//!
//! Points, payload and payload indexes are those of the server, and so are the reckoning of BM25, the
//! fusion of both arms and the checks of owners: that code is shared.
//!
//! # Durability
//! The engine writes its log without waiting for the disk and does not read it again when it opens a
//! folder, so every write ends with a `flush` of log and segments (about 10 ms); only then is it reported
//! as done. All calls of the engine block, and run on threads for blocking work.
//!
//! # What the engine does not do here
//! Points are never moved into a graph (`optimize`): a search reads the vectors of its own profile, by the
//! payload index, and its cosines are exact. Space of removed and replaced points, and of the log, is
//! given back by a rebuild only.

mod collection;
mod error;
mod folder;
mod index;
mod point;
mod rebuild;
mod search;

pub use index::EdgeMemoryIndex;
