//! Is the service fit to work?

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Longer than that a check must not take.
const LIMIT: Duration = Duration::from_secs(2);

type Check =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// What has to be well before a service can work, each under its name.
#[derive(Clone, Default)]
pub struct Checks(Arc<Mutex<Vec<(&'static str, Check)>>>);

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all().iter().map(|(name, _)| name)).finish()
    }
}

impl Checks {
    /// `check` is asked at each probe, for two seconds at most. Its words are shown to whoever asks: no secrets
    /// in them.
    pub fn add<F, C>(&self, name: &'static str, check: C)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
        C: Fn() -> F + Send + Sync + 'static,
    {
        let check: Check = Arc::new(move || Box::pin(check()));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((name, check));
    }

    fn all(&self) -> Vec<(&'static str, Check)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The checks that fail, with their words.
    pub async fn failing(&self) -> Vec<(&'static str, String)> {
        let asked = self.all().into_iter().map(|(name, check)| async move {
            match tokio::time::timeout(LIMIT, check()).await {
                Ok(Ok(())) => None,
                Ok(Err(words)) => Some((name, words)),
                Err(_) => Some((name, format!("no answer within {} s", LIMIT.as_secs()))),
            }
        });
        futures::future::join_all(asked).await.into_iter().flatten().collect()
    }
}
