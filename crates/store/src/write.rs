//! Statements of the control-plane, by table. Each function is one statement or a few that belong
//! together; transactions are the caller's.

pub mod answers;
pub mod audit;
pub mod batches;
pub mod columns;
pub mod connections;
pub mod dead;
pub mod events;
pub mod exports;
pub mod guards;
pub mod jobs;
pub mod lanes;
pub mod leaders;
pub mod looks;
pub mod new_lists;
pub mod people;
pub mod requests;
pub mod retention;
pub mod retries;
pub mod runs;
pub mod segments;
pub mod settings;
pub mod sources;
pub mod tokens;
pub mod workers;
