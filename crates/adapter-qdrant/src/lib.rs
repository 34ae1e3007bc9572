//! The memory index on a Qdrant server or cluster, over gRPC.
//!
//! # What is where
//! One collection holds the memories of everybody: a named dense vector (`meaning`, cosine) and a named
//! sparse one (`words`, dot product) per memory, the point's id being the memory's. The payload names
//! the owner and the profile, which is the tenant: there is a graph per profile (`payload_m`) and none
//! over all of them (`m = 0`), so an unfiltered search would find nothing. Every query carries user and
//! profile in its filter, and what comes back is checked once more: a point that names somebody else is
//! dropped, counted and logged as an error.
//!
//! An alias names the collection that serves; a rebuild fills a new collection and moves the alias. The
//! embedding model and its dimension stand in the collection's metadata. See `collection.rs`.
//!
//! # Words
//! The index's BM25 is exact over the profile's own statistics, as in the embedded index. Number of
//! texts, mean length and document frequencies are counted by the server at each search (two facets
//! over the profile), so nothing can drift apart and no writer has to keep a sum. The sparse vector
//! holds the document side of BM25 with one fixed mean length, the query side carries the idf: their dot
//! product finds twice the candidates asked for and some more, and the scores reported are reckoned
//! anew from the counts in the payload. What is approximate is only which memories are beyond that
//! margin. See `words.rs`.
//!
//! A search is two rounds of calls, and a third one for the cosines of what only words have found.
//!
//! # When the server fails
//! A search waits 300 ms in all, then the turn goes on without memories. Writes wait for the server to
//! have completed them (`wait`, strong ordering; "acknowledged" is a failure), are tried three times,
//! and are all idempotent. Three failures in a row open a circuit breaker for five seconds.
//!
//! # Without a server
//! With the cargo feature `embedded-qdrant` (off by default: it takes minutes to build) there is also
//! `EdgeMemoryIndex`: the same points in a folder, by Qdrant's own engine in this process. See
//! `embedded/mod.rs`.

mod alarm;
mod breaker;
mod client;
mod collection;
mod config;
#[cfg(feature = "embedded-qdrant")]
mod embedded;
mod hits;
mod index;
mod point;
mod rebuild;
mod search;
mod space;
mod words;
mod write;

pub use config::{QdrantConfig, QdrantConfigError};
#[cfg(feature = "embedded-qdrant")]
pub use embedded::EdgeMemoryIndex;
pub use index::QdrantMemoryIndex;
