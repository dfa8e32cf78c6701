use std::{fmt, pin::Pin};

use http::{Extensions, HeaderMap};
use tonic::Status;

/// Decides about each call of a listener before it is answered.
pub trait Gate: fmt::Debug + Send + Sync + 'static {
    /// `path`: `/package.Service/Method`. What it puts into `extensions` is there for whoever answers.
    fn admit<'a>(
        &'a self,
        path: &'a str,
        headers: &'a HeaderMap,
        extensions: &'a mut Extensions,
    ) -> Admission<'a>;
}

/// The status is the answer to whoever is not let in.
pub type Admission<'a> = Pin<Box<dyn Future<Output = Result<(), Status>> + Send + 'a>>;
