//! Within one process. Clones of an adapter share it.

mod commands;
mod events;
mod jobs;

pub use commands::MemoryCommands;
pub use events::MemoryEvents;
pub use jobs::MemoryQueue;
