//! Bulk imports: checked when they are posted, carried out later.

pub(crate) mod body;
pub(crate) mod handlers;
pub(crate) mod identifiers;
pub(crate) mod importer;
pub(crate) mod jobs;
