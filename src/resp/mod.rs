//! The protocol, pure bytes: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

mod parse;
mod push;
mod write;

pub use parse::{Limits, Parser, ProtocolError, Request};
pub use push::Push;
pub use write::{Chunk, Deferred, LENT_BYTES_MAX, Mark, Output, Reply};
